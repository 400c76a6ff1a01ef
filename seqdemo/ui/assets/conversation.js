// Runs once, as the body of a function of (element, trigger, props, server, watch).
// Everything a model or a user wrote is set as textContent, never as HTML.
const log = element.querySelector(".sd-log");
const announcer = element.querySelector(".sd-announcer");
const KEPT = 20000; // spans of one reply kept in the page

let talk = null; // id of the conversation on show
let key = null;
let messages = []; // {box, body, note, base, count}
let busy = false;
let picked = null; // {message, token, span}
let timer = 0;
let serial = 0; // of the newest update shown
let resyncing = false;
let following = true; // keep the end in sight, unless the reader has scrolled away from it
let scrolling = false;
let held = null; // the newest update that came meanwhile

function make(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function spans(message) {
  return message.body.querySelectorAll(".sd-token");
}

function spanOf(message, token) {
  return message.tokens[token - message.base] || null;
}

function addUser(said) {
  const box = make("div", "sd-message sd-user");
  box.append(make("span", "sd-hidden", say("conversation.you")), make("div", "sd-bubble", said.text));
  log.append(box);
  messages.push({ box, said, tokens: [], base: 0, count: 0 });
}

function addModel(said) {
  const box = make("div", "sd-message sd-model");
  const body = make("div", "sd-body");
  body.tabIndex = 0;
  body.setAttribute("role", "group");
  body.setAttribute("aria-roledescription", say("conversation.reply_role"));
  const note = make("div", "sd-note");
  box.append(body, note);
  log.append(box);
  const message = { box, body, note, said, tokens: [], base: 0, count: 0 };
  messages.push(message);
  append(message, 0, said.tokens, said.bits);
  if (said.end) finish(message, said.end);
  box.classList.toggle("sd-streaming", said.live);
  label(message);
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
    fragment.append(span);
  }
  message.body.append(fragment);
  if (message.tokens.length > KEPT * 1.2) {
    const gone = message.tokens.splice(0, message.tokens.length - KEPT);
    for (const span of gone) span.remove();
    message.base += gone.length;
    message.box.dataset.cut = sayCount("conversation.cut", message.base);
  }
  return true;
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
  messages = [];
  unpick(true);
  log.replaceChildren();
  if (value.intro) showIntro(value.intro);
  for (const said of value.messages) said.role === "user" ? addUser(said) : addModel(said);
  messages.forEach((message, index) => message.said.live || equip(message, message.said, index === messages.length - 1));
  following = !settle();
}

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
  const message = messages.findIndex((one) => one.body === span.parentNode);
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
  else return;
  event.preventDefault();
});

document.addEventListener("seqdemo:step", (event) => step(event.detail));
document.addEventListener("seqdemo:close", () => unpick(true));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (busy) trigger("halt", {});
  else unpick(true);
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
