// Runs once, as the body of a function of (element, trigger, props, server, watch).
// The text is the value of a text area: nothing in it is ever read as HTML.
const paper = element.querySelector(".sd-paper");
const line = element.querySelector(".sd-notice");
const facts = element.querySelector(".sd-pad-facts");
const announcer = element.querySelector(".sd-announcer");
const button = (name) => element.querySelector(`[data-do=${name}]`);
const LATER = 700; // milliseconds after the last key until the text is kept
const DRAFT = "seqdemo.notebook"; // what the server does not have yet, while the page is away

let revision = 0;
let serial = 0; // of the newest update shown
let busy = false;
let passage = 0; // what is being written
let count = 0; // tokens of it that are shown
let written = 0; // characters of the text before it
let dirty = false; // the server does not have the text yet
let saving = null; // a promise while the text is sent
let timer = 0;
let tokens = ""; // how many the text is, said by the server
let ready = false;
let resyncing = false;
let notes = [];
let seed = "";

const key = () => sessionStorage.getItem("seqdemo.tab") || "";
const model = () => document.querySelector("#sd-pad-model input")?.value || "";

async function ask(name, given) {
  return JSON.parse(await server[name](JSON.stringify({ key: key(), model: model(), ...given })));
}

// --- what is shown ----------------------------------------------------------------------------------------------

function tell(notice) {
  line.hidden = !notice;
  line.className = `sd-notice sd-${notice ? notice.kind : "hint"}`;
  line.textContent = notice ? notice.text : "";
  if (!notice || !notice.reload) return;
  const link = document.createElement("a");
  link.href = "";
  link.textContent = notice.reload;
  line.append(" ", link);
}

function say_facts() {
  const parts = [sayCount("notebook.characters", paper.value.length), tokens, ...notes].filter(Boolean);
  facts.replaceChildren(...parts.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
  if (!seed) return;
  const use = Object.assign(document.createElement("button"), { type: "button", className: "sd-seed" });
  use.textContent = say("notebook.seed", { seed });
  use.setAttribute("aria-label", say("notebook.seed_name", { seed }));
  const chosen = seed;
  use.addEventListener("click", () => trigger("reseed", { seed: chosen }));
  facts.append(use);
}

function state(value) {
  if ("revision" in value) revision = value.revision;
  if ("undo" in value) button("back").dataset.on = value.undo ? "1" : "";
  if ("redo" in value) button("forth").dataset.on = value.redo ? "1" : "";
  if ("busy" in value) busy = value.busy;
  element.classList.toggle("sd-writing", busy);
  paper.readOnly = busy || !ready;
  paper.setAttribute("aria-busy", String(busy));
  button("write").disabled = !ready;
  for (const name of ["back", "forth"]) button(name).disabled = busy || !button(name).dataset.on;
}

function atEnd() {
  return paper.scrollHeight - paper.scrollTop - paper.clientHeight < 60;
}

function append(text) {
  const follow = atEnd();
  const { selectionStart, selectionEnd } = paper;
  const end = paper.value.length;
  const behind = selectionStart === end;
  paper.setRangeText(text, end, end, "preserve");
  if (behind) paper.setSelectionRange(paper.value.length, paper.value.length);
  else paper.setSelectionRange(selectionStart, selectionEnd);
  if (follow) paper.scrollTop = paper.scrollHeight;
}

function showAll(value) {
  if (ready && !busy && dirty && value.revision === revision) return tell(value.notice); // what is here is newer
  ready = true;
  if (paper.value !== value.text) {
    paper.value = value.text;
    paper.setSelectionRange(value.text.length, value.text.length);
    paper.scrollTop = paper.scrollHeight;
  }
  dirty = false;
  passage = value.passage;
  count = value.written;
  written = -1;
  tokens = value.tokens;
  notes = value.facts;
  seed = "";
  state(value);
  tell(value.notice);
  if (!busy) takeDraft();
}

// What was written when the page went away, if nothing was changed since.
function takeDraft() {
  const kept = sessionStorage.getItem(DRAFT);
  sessionStorage.removeItem(DRAFT);
  if (!kept) return;
  const draft = JSON.parse(kept);
  if (draft.revision !== revision || draft.text === paper.value) return;
  paper.value = draft.text;
  changed();
}

function showMore(value) {
  if (value.passage !== passage) {
    // A passage that begins behind the text as it is here.
    if (paper.value.length !== value.before || dirty || value.start > 0) return resync();
    passage = value.passage;
    count = 0;
    tokens = "";
    seed = "";
    tell(null);
  }
  if (value.start > count) return resync();
  const fresh = value.tokens.slice(count - value.start);
  count += fresh.length;
  if (fresh.length) append(fresh.join(""));
  notes = value.facts;
  if (busy && !value.busy) {
    if (value.tail) append(value.tail);
    if (paper.value.length !== value.units) resync();
    tokens = value.count;
    seed = value.seed || "";
    announcer.textContent = sayCount("notebook.finished", count);
    tell(value.notice);
  }
  state(value);
}

async function resync() {
  if (resyncing) return;
  resyncing = true;
  try {
    const value = await ask("sheet", {});
    if (value.kind) receive(value);
  } finally {
    resyncing = false;
  }
}

function receive(value) {
  if (value.serial && value.serial < serial) return;
  serial = value.serial || serial;
  if (value.kind === "all") showAll(value);
  else if (value.kind === "more") showMore(value);
  else tell(value.notice);
  say_facts();
}

// --- what is changed --------------------------------------------------------------------------------------------

function changed() {
  dirty = true;
  tokens = "";
  notes = [];
  seed = "";
  say_facts();
  clearTimeout(timer);
  timer = setTimeout(save, LATER);
}

async function save() {
  clearTimeout(timer);
  if (saving) await saving;
  if (!dirty || busy) return;
  saving = send();
  await saving;
  saving = null;
}

async function send() {
  const text = paper.value;
  dirty = false;
  try {
    const found = await ask("save", { revision, text });
    if (found.gone) location.reload();
    if (found.notice) return tell(found.notice);
    revision = found.revision;
    button("back").dataset.on = button("back").dataset.on || "";
    if (paper.value === text) tokens = found.tokens;
    tell(null);
  } catch {
    dirty = true;
    tell({ kind: "error", text: say("notebook.silent") });
    timer = setTimeout(save, 5 * LATER);
  }
  say_facts();
}

async function turn(verb) {
  await save();
  if (busy) return;
  const found = await ask("turn", { verb, revision });
  if (found.gone) location.reload();
  else receive(found);
  paper.focus({ preventScroll: true });
}

async function write() {
  if (busy || !ready) return;
  clearTimeout(timer);
  if (saving) await saving;
  if (busy) return;
  dirty = false;
  trigger("write", { text: paper.value, revision });
}

const halt = () => busy && trigger("halt", {});

element.addEventListener("click", (event) => {
  const what = event.target.closest("[data-do]")?.dataset.do;
  if (what === "write") write();
  else if (what === "halt") halt();
  else if (what) turn(what);
});
paper.addEventListener("input", changed);
paper.addEventListener("blur", save);
document.addEventListener("keydown", (event) => {
  if (event.isComposing || element.offsetParent === null) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && element.contains(event.target)) {
    event.preventDefault();
    write();
  } else if (event.key === "Escape" && busy) {
    event.stopPropagation();
    halt();
  }
}, true);

addEventListener("pagehide", () => {
  if (dirty || saving) sessionStorage.setItem(DRAFT, JSON.stringify({ revision, text: paper.value }));
});
document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && save());

state({});
watch("value", () => props.value && receive(JSON.parse(props.value)));
setTimeout(() => trigger("ready", { width: innerWidth }));
