// Runs once, as the body of a function of (element, trigger, props, server, watch).
// Everything a user wrote is set as textContent, never as HTML.
const shelf = element.querySelector(".sd-shelf");
const list = element.querySelector(".sd-list");
const search = element.querySelector(".sd-search");
const toast = element.querySelector(".sd-toast");
const deleted = element.querySelector(".sd-deleted");
const opener = element.querySelector("[data-do=drawer]");

const file = element.querySelector(".sd-file");
const language = document.documentElement.lang;
const LARGEST = 64e6; // bytes of a file

let shown = ""; // id of the conversation on show
let hidden = false; // whether what was deleted is listed
let asked = 0;
let timer = 0;
let expanded = ""; // id of the conversation whose actions are shown
let drawn = ""; // what the list was made from
let renaming = false;

function action(text, name, act) {
  const button = make("button", "sd-action", text);
  button.setAttribute("aria-label", name);
  button.addEventListener("click", act);
  return button;
}

async function ask(change = {}) {
  const number = ++asked;
  const key = sessionStorage.getItem("seqdemo.tab") || "";
  let found;
  try {
    found = JSON.parse(await server.ask(JSON.stringify({ key, language, query: search.value, hidden, ...change })));
  } catch {
    found = { items: [], problem: say("sidebar.silent") };
  }
  if (number !== asked) return;
  if (renaming) later(300); // what is being typed stays
  else show(found);
}

function later(wait) {
  clearTimeout(timer);
  timer = setTimeout(ask, wait);
}

function age(seconds) {
  const day = new Date();
  day.setHours(0, 0, 0, 0);
  const days = (day.getTime() / 1000 - seconds) / 86400;
  if (days <= 0) return say("sidebar.today");
  if (days <= 1) return say("sidebar.yesterday");
  return say(days <= 7 ? "sidebar.week" : "sidebar.before");
}

function show({ items, problem }) {
  if (problem) tell(problem);
  const rows = items.map((item) => [item.id, item.title, item.checkpoint, item.pinned, item.found, age(item.changed)]);
  const wanted = JSON.stringify([shown, hidden, search.value, rows]);
  if (wanted === drawn) {
    // A button that is being clicked, or has the focus, stays the same one.
    for (const box of list.querySelectorAll(".sd-kept")) unfold(box);
    return;
  }
  drawn = wanted;
  list.replaceChildren();
  if (!items.length) {
    const empty = search.value ? "sidebar.none_found" : hidden ? "sidebar.none_deleted" : "sidebar.none";
    list.append(make("p", "sd-none", say(empty)));
  }
  let group = null;
  let heading = "";
  for (const item of items) {
    const name = item.pinned && !hidden ? say("sidebar.pinned") : age(item.changed);
    if (name !== heading) {
      heading = name;
      list.append(make("h3", "sd-group", name));
      group = make("ul", "");
      list.append(group);
    }
    group.append(row(item));
  }
}

function row(item) {
  const box = make("li", "sd-kept");
  box.dataset.conversation = item.id;
  const line = make("div", "sd-line");
  const title = make("button", "sd-title", item.title || say("sidebar.untitled"));
  title.title = item.checkpoint;
  if (item.id === shown && !hidden) title.setAttribute("aria-current", "true");
  if (hidden) title.disabled = true;
  title.addEventListener("click", () => open(item.id));
  const more = action("⋯", say("sidebar.actions", item), () => {
    expanded = expanded === item.id ? "" : item.id;
    for (const other of list.querySelectorAll(".sd-kept")) unfold(other);
  });
  more.classList.add("sd-more");
  line.append(title, more);
  box.append(line);
  if (item.found && search.value) box.append(make("p", "sd-found", item.found));
  const actions = make("div", "sd-actions");
  if (hidden) {
    actions.append(
      action(say("sidebar.restore"), say("sidebar.restore_name", item), () => change("restore", item)),
      action(say("sidebar.purge"), say("sidebar.purge_name", item), () => change("purge", item)),
    );
  } else {
    actions.append(
      action(say("sidebar.rename"), say("sidebar.rename_name", item), () => rename(item, title)),
      item.pinned
        ? action(say("sidebar.unpin"), say("sidebar.unpin_name", item), () => change("pin", item, false))
        : action(say("sidebar.pin"), say("sidebar.pin_name", item), () => change("pin", item, true)),
      action(say("sidebar.export"), say("sidebar.export_name", item), () => pack(item)),
      action(say("sidebar.delete"), say("sidebar.delete_name", item), () => remove(item)),
    );
  }
  box.append(actions);
  unfold(box);
  return box;
}

function unfold(box) {
  const on = box.dataset.conversation === expanded;
  box.classList.toggle("sd-unfolded", on);
  box.querySelector(".sd-more").setAttribute("aria-expanded", String(on));
}

function change(verb, item, value) {
  expanded = "";
  tell("");
  return ask({ verb, conversation: item.id, value });
}

function rename(item, title) {
  const box = make("input", "sd-rename");
  box.value = item.title;
  box.maxLength = 80;
  box.setAttribute("aria-label", say("sidebar.new_title", item));
  renaming = true;
  const leave = (save) => {
    if (!renaming) return;
    renaming = false;
    box.replaceWith(title);
    if (save && box.value.trim() && box.value !== item.title) change("rename", item, box.value);
  };
  box.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") leave(true);
    if (event.key === "Escape") leave(false);
    if (event.key === "Enter" || event.key === "Escape") event.stopPropagation();
  });
  box.addEventListener("blur", () => leave(true));
  title.replaceWith(box);
  box.focus();
  box.select();
}

async function remove(item) {
  await change("delete", item);
  tell(say("sidebar.deleted_one", item), action(say("sidebar.undo"), say("sidebar.undo_name", item), async () => {
    await change("restore", item);
    open(item.id);
  }));
  if (item.id === shown) trigger("fresh", {});
}

// Calls a function of the server about this tab's visitor; null after a problem, which is said then.
async function call(name, given) {
  const key = sessionStorage.getItem("seqdemo.tab") || "";
  tell("…");
  try {
    const found = JSON.parse(await server[name](JSON.stringify({ key, language, ...given })));
    tell(found.problem);
    return found.problem ? null : found;
  } catch {
    tell(say("sidebar.silent"));
    return null;
  }
}

async function pack(item) {
  const found = await call("pack", { conversation: item.id });
  if (!found) return;
  const bytes = Uint8Array.from(atob(found.data), (letter) => letter.charCodeAt(0));
  const link = make("a", "");
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = `${item.title.replace(/[^\p{L}\p{N}_-]+/gu, " ").trim() || say("sidebar.file")}.safetensors`;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function unpack(chosen) {
  if (chosen.size > LARGEST) return tell(say("sidebar.too_large"));
  const bytes = new Uint8Array(await chosen.arrayBuffer());
  let letters = "";
  for (let at = 0; at < bytes.length; at += 32768) letters += String.fromCharCode(...bytes.subarray(at, at + 32768));
  const found = await call("unpack", { data: btoa(letters) });
  if (found) open(found.conversation);
}

function tell(text, button) {
  toast.replaceChildren();
  if (text) toast.append(make("span", "", text));
  if (button) toast.append(button);
}

function open(id) {
  drawer(false);
  if (id !== shown) trigger("open", { conversation: id });
}

function drawer(on) {
  element.classList.toggle("sd-drawer", on);
  opener.setAttribute("aria-expanded", String(on));
  if (on) search.focus();
}

element.addEventListener("click", (event) => {
  const what = event.target.closest("[data-do]")?.dataset.do;
  if (event.target.classList.contains("sd-scrim")) drawer(false);
  else if (what === "drawer") drawer(!element.classList.contains("sd-drawer"));
  else if (what === "fresh") {
    drawer(false);
    trigger("fresh", {});
  } else if (what === "import") file.click();
  else if (what === "deleted") {
    hidden = !hidden;
    deleted.setAttribute("aria-pressed", String(hidden));
    tell("");
    ask();
  }
});
element.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && element.classList.contains("sd-drawer")) {
    event.stopPropagation();
    drawer(false);
    opener.focus();
  }
});
search.addEventListener("input", () => later(150));
file.addEventListener("change", () => {
  const chosen = file.files[0];
  file.value = "";
  if (chosen) unpack(chosen);
});

document.addEventListener("seqdemo:shown", (event) => {
  shown = event.detail;
  ask();
});
document.addEventListener("seqdemo:open", (event) => open(event.detail));
document.addEventListener("seqdemo:changed", () => later(100));
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && later(100));
