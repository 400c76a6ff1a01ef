// Examples that are clicked.
element.addEventListener("click", (event) => {
  const button = event.target.closest(".sd-example");
  if (button) trigger("example", { text: button.textContent });
});
