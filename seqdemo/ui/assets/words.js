// The page's texts in its language. Comes before each script, in the same function.
const TEXTS = (() => {
  const tables = window.gradio_config.i18n_translations;
  return tables[document.documentElement.lang] || tables.en;
})();

// say("sidebar.delete_name", { title }): a text with its {names} filled in.
function say(key, values = {}) {
  return TEXTS[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// sayCount("conversation.reply", 3): a text about a number, which is {number} in it.
function sayCount(key, number, values = {}) {
  const [one, many = one] = TEXTS[key].split("|");
  const text = number === 1 ? one : many;
  return text.replace(/\{(\w+)\}/g, (_, name) => ({ number: number.toLocaleString("en"), ...values })[name]);
}

// Elements of a template say which texts they show: data-say="key", data-say-aria-label="key", data-say-placeholder="key".
for (const node of element.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
for (const name of ["aria-label", "placeholder", "title"]) {
  for (const node of element.querySelectorAll(`[data-say-${name}]`)) node.setAttribute(name, say(node.getAttribute(`data-say-${name}`)));
}
