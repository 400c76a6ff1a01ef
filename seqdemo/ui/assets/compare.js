// Runs once, as the body of a function of (element, trigger, props, server, watch).
// Everything a model or a user wrote is set as textContent, never as HTML.
const turns = element.querySelector(".sd-turns");
const line = element.querySelector(".sd-notice");
const announcer = element.querySelector(".sd-announcer");
const page = element.closest(".sd-compare");

let serial = 0; // of the newest update shown
let id = 0; // of the comparison on show
let names = [];
let exchanges = []; // {box, cells: [{box, body, notes, count}]}
let busy = false;
let resyncing = false;
let scrolling = false;
let following = true; // keep the end in sight, unless the reader has scrolled away from it

// --- what was said ----------------------------------------------------------------------------------------------

function addExchange(said) {
  const box = make("section", "sd-turn");
  const bubble = make("div", "sd-bubble", said.message);
  if (said.cut) bubble.append(make("span", "sd-cut", sayCount("conversation.cut_off", said.cut)));
  const asked = make("div", "sd-asked");
  asked.append(make("span", "sd-hidden", say("compare.you")), bubble);
  const row = make("div", "sd-cells");
  const exchange = { box, cells: [] };
  said.cells.forEach((cell, at) => {
    const made = addCell(at);
    row.append(made.box);
    exchange.cells.push(made);
    made.body.textContent = cell.text;
    made.count = cell.count;
    show(made, cell);
  });
  box.append(asked, row);
  turns.append(box);
  exchanges.push(exchange);
  showScores(exchange, said.scores);
}

function addCell(at) {
  const box = make("article", "sd-cell");
  box.setAttribute("aria-label", say("compare.reply", { name: names[at] }));
  const head = make("header", "");
  head.append(make("h3", "", names[at]));
  const body = make("div", "sd-body");
  const notes = make("div", "sd-note");
  box.append(head, body, notes);
  return { box, head, body, notes, count: 0 };
}

function show(cell, value) {
  cell.box.classList.toggle("sd-streaming", value.live);
  const said = JSON.stringify([value.notes, value.error, value.live]);
  if (said === cell.said) return;
  cell.said = said;
  cell.notes.replaceChildren(...value.notes.map((text) => make("span", "", text)));
  if (value.error) cell.notes.prepend(make("p", "sd-notice sd-error", value.error));
  else if (!value.live && !cell.body.textContent) cell.notes.prepend(make("span", "", say("compare.nothing")));
}

function append(cell, value) {
  if (value.start > cell.count) return false;
  const fresh = value.tokens.slice(cell.count - value.start);
  cell.count += fresh.length;
  const ended = cell.box.classList.contains("sd-streaming") && !value.live;
  const text = fresh.join("") + (ended ? value.tail : "");
  if (text) cell.body.append(text);
  show(cell, value);
  return true;
}

function showScores(exchange, scores) {
  exchange.table?.remove();
  exchange.table = null;
  if (!scores.length) return;
  const box = make("div", "sd-matrix");
  const table = make("table", "");
  const caption = make("caption", "", say("compare.scores"));
  const head = make("tr", "");
  const corner = make("th", "", say("compare.reader"));
  corner.scope = "col";
  head.append(corner);
  for (const name of names) {
    const cell = make("th", "", say("compare.reply", { name }));
    cell.scope = "col";
    head.append(cell);
  }
  const top = make("thead", "");
  top.append(head);
  const rows = make("tbody", "");
  scores.forEach((scored, reader) => {
    const row = make("tr", "");
    const name = make("th", "", names[reader]);
    name.scope = "row";
    row.append(name, ...scored.map(score));
    rows.append(row);
  });
  table.append(caption, top, rows);
  box.append(table, make("p", "sd-hint", say("compare.scores_about")));
  exchange.table = box;
  exchange.box.append(box);
}

function score(found) {
  const cell = make("td", found?.best ? "sd-best" : "");
  if (!found) cell.textContent = "–";
  else if (found.why) {
    cell.textContent = found.text;
    cell.title = found.why;
  } else cell.append(make("span", "sd-bits", found.bits), make("span", "sd-perplexity", found.perplexity));
  return cell;
}

// --- keeping a column -------------------------------------------------------------------------------------------

// Each column can be kept where it was last written in.
function equip() {
  for (const old of turns.querySelectorAll(".sd-keep")) old.remove();
  if (busy) return;
  names.forEach((name, at) => {
    const last = exchanges.findLast((exchange) => exchange.cells[at].count);
    if (!last) return;
    const button = make("button", "sd-tool sd-keep", say("compare.keep"));
    button.type = "button";
    button.dataset.column = at;
    button.setAttribute("aria-label", say("compare.keep_name", { name }));
    button.addEventListener("click", () => trigger("keep", { column: at }));
    last.cells[at].head.append(button);
  });
}

function kept({ column, conversation }) {
  const button = turns.querySelector(`.sd-keep[data-column="${column}"]`);
  document.dispatchEvent(new CustomEvent("seqdemo:changed"));
  if (!button) return;
  const link = make("button", "sd-tool sd-keep", say("compare.open"));
  link.type = "button";
  link.setAttribute("aria-label", say("compare.open_name", { name: names[column] }));
  link.addEventListener("click", () => {
    document.querySelector("#sd-tab-chat-button").click();
    document.dispatchEvent(new CustomEvent("seqdemo:open", { detail: conversation }));
  });
  button.replaceWith(link);
  link.focus({ preventScroll: true });
}

// --- updates ----------------------------------------------------------------------------------------------------

function tell(notice) {
  line.hidden = !notice;
  line.className = `sd-notice sd-${notice ? notice.kind : "hint"}`;
  line.textContent = notice ? notice.text : "";
  if (notice) line.scrollIntoView({ block: "nearest" });
}

function showAll(value) {
  id = value.id;
  names = value.names;
  exchanges = [];
  turns.replaceChildren();
  element.style.setProperty("--sd-columns", Math.max(names.length, 2));
  if (!value.exchanges.length) turns.append(make("p", "sd-compare-about", say("compare.about")));
  value.exchanges.forEach(addExchange);
  following = true;
}

function receive(value) {
  if (!value.kind || value.serial < serial) return;
  serial = value.serial;
  if (value.kind === "notice") {
    tell(value.notice);
    if (value.conversation) kept(value);
    return;
  }
  if (value.kind === "all") {
    showAll(value);
    tell(null);
  } else {
    const exchange = value.id === id ? exchanges[value.exchange] : null;
    if (!exchange) return void resync();
    if (value.kind === "scores") {
      showScores(exchange, value.scores);
      // The hint that this is under way goes; what was said meanwhile, of a message just sent, stays.
      if (value.notice || line.classList.contains("sd-hint")) tell(value.notice);
      announcer.textContent = say("compare.finished");
    } else if (!value.cells.every((cell, at) => !cell || append(exchange.cells[at], cell))) return void resync();
  }
  busy = value.busy;
  page.classList.toggle("sd-comparing", busy);
  equip();
  if (!following || scrolling) return;
  scrolling = true;
  requestAnimationFrame(() => {
    scrolling = false;
    if (page.scrollHeight > page.clientHeight) page.scrollTop = page.scrollHeight;
  });
}

async function resync() {
  if (resyncing) return;
  resyncing = true;
  try {
    const key = sessionStorage.getItem("seqdemo.tab") || "";
    receive(JSON.parse(await server.comparison(JSON.stringify({ key }))));
  } finally {
    resyncing = false;
  }
}

page.addEventListener("scroll", () => {
  following = page.scrollHeight - page.scrollTop - page.clientHeight < 120;
}, { passive: true });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || !busy || element.offsetParent === null) return;
  event.stopPropagation();
  trigger("halt", {});
}, true);

watch("value", () => props.value && receive(JSON.parse(props.value)));
setTimeout(() => trigger("ready", {}));
