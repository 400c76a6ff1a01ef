// Runs once, as the body of a function of (element, trigger, props, server, watch).
// Everything a model or a user wrote is set as textContent, never as HTML.
const log = element.querySelector(".sd-log");
const announcer = element.querySelector(".sd-announcer");
const KEPT = 20000; // spans of one reply kept in the page
const TOLD = 4; // updates after which the server is told, or so many milliseconds
const PATIENCE = 400;
const BLOCK = 200; // spans of a part of it that is closed at the end of a line: what follows does not lay it out again

let talk = null; // id of the conversation on show
let key = null;
let messages = []; // {box, body, note, base, count}; a stand-in for each that is further back than the page shows
let first = 0; // number of the first one on show
let busy = false;
let picked = null; // {message, token, span}
let timer = 0;
let serial = 0; // of the newest update shown
let resyncing = false;
let following = true; // keep the end in sight, unless the reader has scrolled away from it
let scrolling = false;
let held = null; // the newest update that came meanwhile
let telling = false;
let untold = 0; // updates shown since the server was told
let enough = () => {};

function spans(message) {
  return message.body.querySelectorAll(".sd-token");
}

function spanOf(message, token) {
  return message.tokens[token - message.base] || null;
}

function built(said) {
  return said.role === "user" ? builtUser(said) : builtModel(said);
}

function builtUser(said) {
  const box = make("div", "sd-message sd-user");
  box.append(make("span", "sd-hidden", say("conversation.you")), make("div", "sd-bubble", said.text));
  if (said.cut) box.lastChild.append(make("span", "sd-cut", sayCount("conversation.cut_off", said.cut)));
  return { box, said, tokens: [], base: 0, count: 0 };
}

function builtModel(said) {
  const box = make("div", "sd-message sd-model");
  const body = make("div", "sd-body");
  body.tabIndex = 0;
  body.setAttribute("role", "group");
  body.setAttribute("aria-roledescription", say("conversation.reply_role"));
  const note = make("div", "sd-note");
  box.append(body, note);
  const message = { box, body, note, said, tokens: [], open: [], base: said.start, count: said.start };
  append(message, said.start, said.tokens, said.bits);
  showCut(message);
  if (said.end) finish(message, said.end);
  box.classList.toggle("sd-streaming", said.live);
  label(message);
  return message;
}

function label(message) {
  message.body.setAttribute("aria-label", sayCount("conversation.reply", message.count));
}

function append(message, start, texts, bits) {
  if (start > message.count) return false;
  const fragment = document.createDocumentFragment();
  for (let at = message.count - start; at < texts.length; at++) {
    const span = make("span", `sd-token ${shades(bits[at])}`, texts[at]);
    span.dataset.token = message.count++;
    message.tokens.push(span);
    message.open.push(span);
    fragment.append(span);
    if (message.open.length >= BLOCK && texts[at].endsWith("\n")) {
      const block = make("div");
      message.body.append(fragment, block);
      block.append(...message.open.splice(0));
    }
  }
  message.body.append(fragment);
  if (message.tokens.length > KEPT * 1.2) {
    const gone = message.tokens.splice(0, message.tokens.length - KEPT);
    message.open = message.open.slice(-KEPT);
    for (const span of gone) {
      const place = span.parentNode;
      span.remove();
      if (place !== message.body && !place.firstChild) place.remove();
    }
    message.base += gone.length;
    showCut(message);
  }
  return true;
}

function showCut(message) {
  if (message.base) message.box.dataset.cut = sayCount("conversation.cut", message.base);
}

function finish(message, end) {
  message.box.classList.remove("sd-streaming");
  if (end.tail) message.body.append(make("span", "", end.tail));
  message.note.replaceChildren();
  for (const part of end.notes) message.note.append(make("span", "", part));
  if (end.seed !== "") {
    const seed = make("button", "sd-seed", say("conversation.seed", end));
    seed.type = "button";
    seed.title = say("conversation.seed_title");
    seed.setAttribute("aria-label", say("conversation.seed_name", end));
    seed.addEventListener("click", () => trigger("reseed", { seed: end.seed }));
    message.note.append(seed);
  }
  label(message);
}

function showIntro(intro) {
  const box = make("div", "sd-intro");
  box.append(make("h2", "", intro.title));
  for (const line of intro.lines) box.append(make("p", "", line));
  if (intro.command) box.append(make("pre", "sd-command", intro.command));
  if (intro.examples.length) {
    const list = make("div", "sd-examples");
    list.setAttribute("role", "group");
    list.setAttribute("aria-label", say("conversation.examples"));
    for (const text of intro.examples) {
      const button = make("button", "sd-example", text);
      button.type = "button";
      button.addEventListener("click", () => trigger("example", { text }));
      list.append(button);
    }
    box.append(list);
  }
  log.append(box);
}

function showAll(value) {
  talk = value.talk;
  if (talk) sessionStorage.setItem("seqdemo.conversation", value.conversation);
  document.dispatchEvent(new CustomEvent("seqdemo:shown", { detail: value.conversation }));
  first = value.first;
  messages = [...Array(first).fill(ABSENT), ...value.messages.map(built)];
  unpick(true);
  log.replaceChildren(back);
  if (value.intro) showIntro(value.intro);
  log.append(...messages.slice(first).map((message) => message.box));
  for (const message of messages.slice(first)) message.said.live || equip(message, message.said, message === messages.at(-1));
  showBack();
  following = !settle();
  if (value.busy && !value.guest) neighbours?.postMessage(value.conversation);
}

// --- what is further back ---------------------------------------------------------------------------------------

const ABSENT = Object.freeze({ box: make("div"), body: null, said: {}, tokens: [], base: 0, count: 0 });
const back = make("button", "sd-back");
back.type = "button";
back.addEventListener("click", goBack);

function showBack() {
  back.hidden = first === 0;
  back.textContent = sayCount("conversation.back", first);
}

async function goBack() {
  const [asked, anchor] = [talk, messages[first]];
  const text = await server.earlier(JSON.stringify({ key, talk, first }));
  const value = text && JSON.parse(text);
  if (!value || talk !== asked || messages[first] !== anchor || value.first >= first) return;
  const top = anchor.box.getBoundingClientRect().top;
  following = false;
  const fresh = value.messages.map(built);
  messages.splice(value.first, fresh.length, ...fresh);
  first = value.first;
  back.after(...fresh.map((message) => message.box));
  for (const message of fresh) equip(message, message.said, false);
  showBack();
  log.scrollTop += anchor.box.getBoundingClientRect().top - top;
  if (back.hidden) log.focus({ preventScroll: true });
}

// --- other tabs of this browser ---------------------------------------------------------------------------------

// A tab that shows the same conversation follows the reply; not while somebody edits there.
const neighbours = "BroadcastChannel" in window ? new BroadcastChannel("seqdemo.reply") : null;
neighbours?.addEventListener("message", ({ data }) => {
  const same = data === sessionStorage.getItem("seqdemo.conversation") && talk !== null;
  if (same && !busy && !log.querySelector(".sd-editing")) trigger("follow", { conversation: data });
});

// Something was missed: fetch the whole. What comes meanwhile waits; of several updates the last one will do.
async function resync() {
  if (resyncing) return;
  resyncing = true;
  try {
    const text = await server.conversation(key);
    if (text) apply(JSON.parse(text));
  } finally {
    resyncing = false;
    const later = held;
    held = null;
    if (later && later.serial > serial) apply(later);
  }
}

// The server waits with the next update while this page is behind: so it is told what is on the screen, after each few
// updates, for its answer takes the server as long as an update does.
async function tell() {
  telling = true;
  if (untold < TOLD) await new Promise((then) => setTimeout((enough = then), PATIENCE));
  await new Promise(requestAnimationFrame);
  const shown = serial;
  untold = 0;
  try {
    await server.shown(JSON.stringify({ key, serial: shown }));
  } catch {
    // It is gone: whatever comes next from the page says so.
  }
  telling = false;
  if (untold) tell();
}

function receive(text) {
  if (!text) return;
  const value = JSON.parse(text);
  if (resyncing) held = value;
  else apply(value);
}

function apply(value) {
  serial = value.serial;
  if (value.key) {
    key = value.key;
    sessionStorage.setItem("seqdemo.tab", key);
  }
  if (value.kind === "all") showAll(value);
  else {
    const message = value.talk === talk ? messages[value.message] : null;
    if (!message || !append(message, value.start, value.tokens, value.bits)) return void resync();
    if (!telling) tell();
    if (++untold >= TOLD) enough();
    if (value.end && message.box.classList.contains("sd-streaming")) {
      finish(message, value.end);
      equip(message, message.said, true);
      announcer.textContent = sayCount("conversation.finished", message.count);
      document.dispatchEvent(new CustomEvent("seqdemo:changed"));
    }
  }
  busy = value.busy;
  // The buttons around follow from this, by style: whatever is lost on the way, they cannot disagree with what is shown.
  document.body.classList.toggle("sd-busy", busy);
  document.body.classList.toggle("sd-empty", messages.length === 0);
  if (following && !scrolling) {
    scrolling = true;
    requestAnimationFrame(() => {
      scrolling = false;
      log.scrollTop = log.scrollHeight;
    });
  }
}

log.addEventListener("scroll", () => {
  following = log.scrollHeight - log.scrollTop - log.clientHeight < 120;
}, { passive: true });

// --- choosing a token -------------------------------------------------------------------------------------------

function pick(message, token, later) {
  const span = spanOf(messages[message], token);
  if (!span) return;
  if (picked) picked.span.classList.remove("sd-picked");
  picked = { message, token, span };
  span.classList.add("sd-picked");
  span.scrollIntoView({ block: "nearest" });
  clearTimeout(timer);
  timer = setTimeout(() => trigger("pick", { message, token, at: performance.timeOrigin + performance.now() }), later ? 120 : 0);
}

function unpick(tell) {
  clearTimeout(timer);
  if (!picked) return;
  picked.span.classList.remove("sd-picked");
  picked = null;
  if (tell) trigger("unpick", {});
}

function step(by) {
  if (!picked) return;
  const message = messages[picked.message];
  const token = Math.min(Math.max(picked.token + by, message.base), message.count - 1);
  if (token !== picked.token) pick(picked.message, token, true);
}

log.addEventListener("click", (event) => {
  const span = event.target.closest(".sd-token");
  if (!span || !getSelection().isCollapsed) return;
  const message = messages.findIndex((one) => one.body === span.closest(".sd-body"));
  pick(message, Number(span.dataset.token), false);
});

log.addEventListener("keydown", (event) => {
  const message = messages.findIndex((one) => one.body === event.target);
  if (message < 0 || !messages[message].count) return;
  const steps = { ArrowLeft: -1, ArrowRight: 1 };
  const { base, count } = messages[message];
  if (event.key in steps) {
    if (picked && picked.message === message) step(steps[event.key]);
    else pick(message, event.key === "ArrowLeft" ? count - 1 : base, true);
  } else if (event.key === "Home") pick(message, base, true);
  else if (event.key === "End") pick(message, count - 1, true);
  else if (event.key === "Enter") {
    if (!picked || picked.message !== message) pick(message, base, false);
    document.dispatchEvent(new CustomEvent("seqdemo:inspect", { detail: { message, token: picked.token } }));
  } else return;
  event.preventDefault();
});

document.addEventListener("seqdemo:step", (event) => step(event.detail));
document.addEventListener("seqdemo:close", () => {
  if (picked) messages[picked.message].body.focus();
  unpick(true);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (busy) trigger("halt", {});
  else if (picked) {
    if (event.target.closest("#sd-inspector")) messages[picked.message].body.focus();
    unpick(true);
  }
});

// --- this tab and no other --------------------------------------------------------------------------------------

addEventListener("pagehide", () => sessionStorage.setItem("seqdemo.left", "1"));
addEventListener("pageshow", (event) => event.persisted && location.reload());

document.body.classList.add("sd-empty");
watch("value", () => receive(props.value));
setTimeout(() => {
  const left = sessionStorage.getItem("seqdemo.left") === "1";
  sessionStorage.removeItem("seqdemo.left");
  const kept = (name) => sessionStorage.getItem(`seqdemo.${name}`) || "";
  trigger("ready", { key: kept("tab"), conversation: kept("conversation"), left, width: innerWidth });
});
