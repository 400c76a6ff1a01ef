// Pages of a table.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-page]");
  if (button) trigger("turn", { page: Number(button.dataset.page) });
});
