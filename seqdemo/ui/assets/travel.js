// Runs once, as the body of a function of (element, trigger, props, server, watch).
// Everything a model or a user wrote is set as textContent, never as HTML.
const opener = element.querySelector("[data-do=open]");
const map = element.querySelector(".sd-map");
const tree = element.querySelector(".sd-tree");
const news = element.querySelector(".sd-map-news");
const dialog = element.querySelector(".sd-beside");
const LANE = 14; // pixels
const SVG = "http://www.w3.org/2000/svg";

let rows = []; // {node, lane, box, …} from the top
let asked = 0;
let first = null; // id of the node that another one is to be compared with

async function ask(name, question = {}) {
  const key = sessionStorage.getItem("seqdemo.tab") || "";
  try {
    return JSON.parse(await server[name](JSON.stringify({ key, ...question })));
  } catch {
    return { problem: say("travel.unreachable") };
  }
}

// --- drawing ----------------------------------------------------------------------------------------------------

async function refresh() {
  if (map.hidden) return;
  const number = ++asked;
  const found = await ask("look");
  if (number !== asked || map.hidden) return;
  news.textContent = found.problem;
  if (!found.problem) show(found);
}

function show({ nodes, path, here }) {
  const held = tree.contains(document.activeElement);
  const known = nodes.map(([id, parent, at, role, text, tokens]) => ({ id, parent, at, role, text, tokens }));
  const byId = new Map(known.map((node) => [node.id, node]));
  if (!byId.has(first)) first = null;
  rows = nodes.length ? arrange(known, new Set(path)) : [];
  for (const row of rows) draw(row, byId, here);
  tree.replaceChildren(...(rows.length ? rows.map((row) => row.box) : [make("p", "sd-hint", say("travel.empty"))]));
  const now = rows.find((row) => row.box.ariaCurrent) || rows[0];
  if (!now) return;
  now.box.tabIndex = 0;
  now.box.scrollIntoView({ block: held ? "nearest" : "center" });
  if (held) now.box.focus();
}

function draw(row, byId, here) {
  const { node } = row;
  const box = (row.box = make("div", "sd-node"));
  const current = node.id === here[0];
  const parent = byId.get(node.parent);
  const notes = [];
  if (parent && node.at < parent.tokens) notes.push(say("travel.after", { at: node.at + 1, tokens: parent.tokens }));
  if (current && node.id && here[1] < node.tokens) notes.push(say("travel.inside", { at: here[1], tokens: node.tokens }));
  else if (current) notes.push(say("travel.here"));
  const height = notes.length ? 48 : 32;
  box.setAttribute("role", "treeitem");
  box.setAttribute("aria-level", row.lane + 1);
  box.setAttribute("aria-selected", String(node.id === first));
  if (current) box.setAttribute("aria-current", "true");
  box.classList.toggle("sd-way", row.lit);
  box.tabIndex = -1;
  box.dataset.node = node.id;
  box.style.height = `${height}px`;
  const said = make("span", "sd-node-said");
  if (node.id) {
    const who = node.role === "user" ? say("travel.you") : say("travel.model");
    said.append(make("span", "sd-node-who", who), " ", make("span", "sd-node-text", node.text || "∅"));
  } else said.append(make("span", "sd-node-who", say("travel.beginning")));
  for (const note of notes) said.append(make("span", "sd-node-note", note));
  box.append(rails(row, height), said);
  if (!node.id) return;
  const count = make("span", "sd-node-tokens", node.tokens.toLocaleString("en"));
  count.title = sayCount("travel.tokens_of", node.tokens);
  const compare = make("button", "sd-tool", "⇄");
  compare.tabIndex = -1;
  compare.title = say("travel.compare");
  compare.setAttribute("aria-label", say("travel.compare"));
  box.append(count, compare);
}

function rails(row, height) {
  const x = (lane) => (lane + 0.5) * LANE;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("width", (row.lane + 1) * LANE + 6);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  const put = (name, lit, attributes) => {
    const shape = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    shape.classList.toggle("sd-way", lit);
    svg.append(shape);
  };
  const middle = 16;
  const here = x(row.lane);
  for (const rail of row.rails) put("path", rail.lit, { d: `M${x(rail.lane)} 0V${height}` });
  if (row.side) put("path", row.lit, { d: `M${x(row.lane - 1)} 0C${x(row.lane - 1)} ${middle} ${here} 2 ${here} ${middle}` });
  else if (row.node.id) put("path", row.lit, { d: `M${here} 0V${middle}` });
  if (row.leads) put("path", row.onward, { d: `M${here} ${middle}V${height}` });
  if (row.node.role === "user") put("rect", row.lit, { x: here - 4, y: middle - 4, width: 8, height: 8, rx: 2 });
  else put("circle", row.lit, { cx: here, cy: middle, r: row.node.id ? 4.5 : 2.5 });
  return svg;
}

// --- moving about -----------------------------------------------------------------------------------------------

function open(on) {
  map.hidden = !on;
  opener.setAttribute("aria-expanded", String(on));
  document.body.classList.toggle("sd-mapped", on);
  choose(null);
  if (!on) return void opener.focus();
  map.querySelector("[data-do=close]").focus();
  refresh();
}

function stand(row) {
  if (document.body.classList.contains("sd-busy")) return;
  if (matchMedia("(max-width: 900px)").matches) open(false);
  trigger("stand", { node: row.node.id });
}

function move(row, to) {
  if (!to) return;
  row.box.tabIndex = -1;
  to.box.tabIndex = 0;
  to.box.focus();
}

tree.addEventListener("click", (event) => {
  const row = rows.find((one) => one.box.contains(event.target));
  if (!row) return;
  move(rows.find((one) => one.box.tabIndex === 0) || row, row);
  event.target.closest("button") ? compare(row) : stand(row);
});
tree.addEventListener("keydown", (event) => {
  const at = rows.findIndex((one) => one.box === event.target);
  if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
  const row = rows[at];
  const does = {
    ArrowDown: () => move(row, rows[at + 1]),
    ArrowUp: () => move(row, rows[at - 1]),
    ArrowRight: () => move(row, rows.find((one) => one.node.parent === row.node.id && !one.side)),
    ArrowLeft: () => move(row, rows.find((one) => one.node.id === row.node.parent)),
    Home: () => move(row, rows[0]),
    End: () => move(row, rows.at(-1)),
    Enter: () => stand(row),
    " ": () => stand(row),
    c: () => row.node.id && compare(row),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});
element.addEventListener("click", (event) => {
  const what = event.target.closest("[data-do]")?.dataset.do;
  if (what === "open") open(map.hidden);
  else if (what === "close") open(false);
  else if (what === "leave") dialog.close();
});
map.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  event.stopPropagation();
  first === null ? open(false) : choose(null);
});
dialog.addEventListener("keydown", (event) => event.key === "Escape" && event.stopPropagation());
document.addEventListener("seqdemo:shown", refresh);
document.addEventListener("seqdemo:changed", refresh);

// --- two lines beside each other --------------------------------------------------------------------------------

function choose(id) {
  first = id;
  news.textContent = id === null ? "" : say("travel.choose");
  for (const row of rows) row.box.setAttribute("aria-selected", String(row.node.id === id));
}

async function compare(row) {
  if (first === null) return choose(row.node.id);
  const ids = [first, row.node.id];
  choose(null);
  if (ids[0] === ids[1]) return;
  const found = await ask("compare", { left: ids[0], right: ids[1] });
  news.textContent = found.problem;
  if (found.problem) return;
  const common = element.querySelector(".sd-common");
  common.replaceChildren(make("p", "sd-hint", found.common));
  const context = make("p", "sd-branch-text");
  if (found.before) context.append(make("span", "sd-before", tail(found.before)));
  if (found.shared) context.append(make("span", "", found.shared));
  if (context.childNodes.length) common.append(context);
  element.querySelector(".sd-branches").replaceChildren(...found.branches.map((branch, side) => column(branch, ids[side], "AB"[side])));
  dialog.showModal();
}

// The end of a long text, from the beginning of a word.
function tail(text) {
  return text.length > 300 ? `… ${text.slice(-300).replace(/^\S*\s/, "")}` : text;
}

function column({ said, facts }, id, name) {
  const box = make("section", "sd-branch");
  const head = make("header", "");
  const go = make("button", "sd-tool", say("inspector.stand"));
  go.addEventListener("click", () => {
    dialog.close();
    stand({ node: { id } });
  });
  head.append(make("h3", "", name), go);
  const list = make("dl", "sd-facts");
  for (const [term, value] of facts) {
    const pair = make("div", "");
    pair.append(make("dt", "", term), make("dd", "", value));
    list.append(pair);
  }
  box.setAttribute("aria-label", name);
  box.append(head, list);
  if (!said.length) box.append(make("p", "sd-hint", say("travel.nothing")));
  for (const [role, text] of said) {
    const line = make("p", role === "user" ? "sd-branch-text sd-bubble" : "sd-branch-text", text);
    if (role === "user") line.prepend(make("span", "sd-hidden", say("conversation.you")));
    box.append(line);
  }
  return box;
}
