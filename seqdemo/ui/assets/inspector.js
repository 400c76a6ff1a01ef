// Runs once, as the body of a function of (element, trigger, props, server, watch).
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-step]");
  if (!button) return;
  const by = Number(button.dataset.step);
  const name = by ? "seqdemo:step" : "seqdemo:close";
  document.dispatchEvent(new CustomEvent(name, { detail: by }));
});
