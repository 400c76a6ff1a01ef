// An element with a class and a text, which is never read as HTML. Goes before the script that uses it.
function make(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  if (name === "button") node.type = "button";
  return node;
}
