// Loading, unloading and model cards. What the server sends is made of text and named elements only.
const opened = new Set(); // names of the checkpoints whose card is open
const cards = new Map();

function nameOf(node) {
  return node.closest("[data-name]").dataset.name;
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (!button) return;
  button.disabled = true;
  trigger("act", { verb: button.dataset.do, name: nameOf(button) });
});

async function show(details) {
  const name = nameOf(details);
  const body = details.querySelector(".sd-card-body");
  try {
    if (!cards.has(name)) cards.set(name, await server.card(name));
    body.innerHTML = cards.get(name);
    if (!body.textContent.trim()) body.textContent = say("models.no_card");
  } catch {
    body.textContent = say("models.no_answer");
  }
}

// A toggle does not bubble: it is heard on its way down.
element.addEventListener("toggle", (event) => {
  const details = event.target;
  if (!details.matches(".sd-model-card")) return;
  if (details.open) {
    opened.add(nameOf(details));
    show(details);
  } else opened.delete(nameOf(details));
}, true);

watch("value", () => {
  for (const details of element.querySelectorAll(".sd-model-card")) if (opened.has(nameOf(details))) details.open = true;
});
