// Runs once, as the body of a function of (element, trigger, props, server, watch).
let focus = ""; // selector of what is to have the focus once another token is shown

function settle() {
  const found = focus && element.querySelector(focus);
  if (!found) return;
  focus = "";
  found.focus();
}

function at(section) {
  return { message: Number(section.dataset.message), token: Number(section.dataset.token) };
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const place = at(button.closest("section"));
  if (button.dataset.other) {
    if (!document.body.classList.contains("sd-busy")) trigger("instead", { ...place, other: Number(button.dataset.other) });
  } else if ("stand" in button.dataset) trigger("within", place);
  else if (Number(button.dataset.step)) {
    focus = `[data-step="${button.dataset.step}"]`;
    document.dispatchEvent(new CustomEvent("seqdemo:step", { detail: Number(button.dataset.step) }));
  } else document.dispatchEvent(new CustomEvent("seqdemo:close"));
});
// Enter on a token: on to what can be done with it, which may have to come first.
document.addEventListener("seqdemo:inspect", ({ detail }) => {
  focus = `section[data-message="${detail.message}"][data-token="${detail.token}"] button:is(.sd-on, [data-stand])`;
  settle();
});
watch("value", () => requestAnimationFrame(settle));
