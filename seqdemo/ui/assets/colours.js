// Runs once, as the body of a function of (element, trigger, props, server, watch).
// Every token has its shade already: choosing a scale is one class of the document.
const scale = element.querySelector(".sd-shades");
const STEPS = {
  chance: [...CHANCES.map((least) => `≥ ${100 * least}`), `< ${100 * CHANCES.at(-1)} %`],
  surprise: [...SURPRISES.map((most) => `< ${most}`), say("colours.more", { bits: SURPRISES.at(-1) })],
};

function colour(by) {
  for (const one of Object.keys(STEPS)) document.body.classList.toggle(`sd-by-${one}`, one === by);
  localStorage.setItem("seqdemo.colours", by);
  scale.hidden = !by;
  scale.replaceChildren(...(STEPS[by] || []).map((text, shade) => {
    const step = document.createElement("span");
    step.className = `sd-shade sd-shade-${shade}`;
    step.textContent = text;
    return step;
  }));
}

element.addEventListener("change", (event) => colour(event.target.value));
const kept = element.querySelector(`input[value="${localStorage.getItem("seqdemo.colours") || ""}"]`);
if (kept) {
  kept.checked = true;
  colour(kept.value);
}
