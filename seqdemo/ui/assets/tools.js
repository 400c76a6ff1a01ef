// What can be done with a message. Goes on where conversation.js ends, in the same function.
let act = null; // {message, name, top}: the button that was used, to find the same place again

function tool(message, name, text, label, does) {
  const button = make("button", "sd-tool", text);
  button.type = "button";
  button.dataset.tool = name;
  button.setAttribute("aria-label", label);
  button.title = label;
  button.addEventListener("click", () => {
    if (busy) return;
    remember(message, name);
    does();
  });
  return button;
}

// Where a message stands on the screen, and which of its buttons was used.
function remember(message, name) {
  act = { message: messages.indexOf(message), name, top: message.box.getBoundingClientRect().top };
}

function equip(message, said, last) {
  const index = messages.indexOf(message);
  const tools = make("div", "sd-tools");
  tools.setAttribute("role", "group");
  tools.setAttribute("aria-label", say(said.role === "user" ? "conversation.your_message" : "conversation.the_reply"));
  message.version = said.version;
  message.versions = said.versions;
  if (said.versions > 1) tools.append(versions(message, said));
  const add = (name, text, label, does) => tools.append(tool(message, name, say(text), say(label), does));
  if (said.role === "model") {
    if (last) {
      add("again", "conversation.again", "conversation.again_name", () => trigger("reply", { verb: "again" }));
      add("onward", "conversation.onward", "conversation.onward_name", () => trigger("reply", { verb: "onward" }));
    }
    add("edit", "conversation.edit", "conversation.edit_reply", () => edit(message, "model"));
    add("fork", "conversation.fork", "conversation.fork_name", () => trigger("fork", { message: index }));
    if (last) add("undo", "conversation.undo", "conversation.undo_reply", () => trigger("undo", {}));
  } else {
    if (last) {
      add("again", "conversation.answer", "conversation.answer_name", () => trigger("reply", { verb: "again" }));
      add("undo", "conversation.undo", "conversation.undo_message", () => trigger("undo", {}));
    }
    add("edit", "conversation.edit", "conversation.edit_message", () => edit(message, "user"));
  }
  message.tools?.remove();
  message.tools = tools;
  message.box.classList.toggle("sd-last", last);
  message.box.append(tools);
}

function versions(message, said) {
  const group = make("span", "sd-versions");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", say("conversation.version", { version: said.version + 1, versions: said.versions }));
  const arrow = (name, text, label, by) => {
    const button = tool(message, name, text, label, () => turn(message, by));
    button.disabled = !turns(message, by);
    return button;
  };
  group.append(
    arrow("earlier", "◀", say("conversation.earlier"), -1),
    make("span", "sd-count", `${said.version + 1}/${said.versions}`),
    arrow("later", "▶", say("conversation.later"), 1),
  );
  return group;
}

function turns(message, by) {
  return message.version + by >= 0 && message.version + by < message.versions;
}

function turn(message, by) {
  if (!busy && turns(message, by)) trigger("turn", { message: messages.indexOf(message), by });
}

// Keys: in a message's arrows those that point the same way; in an empty message box, for the last message that has any.
const ARROWS = { ArrowLeft: -1, ArrowRight: 1 };
document.addEventListener("keydown", (event) => {
  if (!(event.key in ARROWS) || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const by = ARROWS[event.key];
  const group = event.target.closest?.(".sd-versions");
  const empty = event.target.matches?.("#sd-input textarea") && !event.target.value;
  const message = group
    ? messages.find((one) => one.box.contains(group))
    : empty && messages.findLast((one) => one.versions > 1);
  if (!message) return;
  event.preventDefault();
  if (group) remember(message, by < 0 ? "earlier" : "later");
  turn(message, by);
});

async function edit(message, role) {
  const shown = role === "user" ? message.box.querySelector(".sd-bubble") : message.body;
  const whole = message.said.cut ? await longText(message) : shown.textContent;
  if (whole === null || !shown.isConnected) return;
  const box = make("textarea", "sd-edit");
  box.value = whole;
  box.setAttribute("aria-label", say(role === "user" ? "conversation.edited_message" : "conversation.edited_reply"));
  const fit = () => {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  };
  const leave = () => {
    form.replaceWith(shown);
    message.box.classList.remove("sd-editing");
    message.tools.querySelector("[data-tool=edit]").focus();
  };
  const save = () => {
    const text = box.value;
    if (!text || text === whole) return leave();
    form.replaceWith(shown);
    message.box.classList.remove("sd-editing");
    trigger("rewrite", { message: messages.indexOf(message), text });
  };
  const form = make("div", "sd-form");
  const choices = make("div", "sd-choices");
  for (const [text, does] of [[say(role === "user" ? "conversation.send" : "conversation.save"), save], [say("conversation.cancel"), leave]]) {
    const button = make("button", "sd-tool", text);
    button.type = "button";
    button.addEventListener("click", does);
    choices.append(button);
  }
  form.append(box, choices);
  box.addEventListener("input", fit);
  box.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      save();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      leave();
    }
  });
  message.box.classList.add("sd-editing");
  shown.replaceWith(form);
  fit();
  box.focus();
}

// A message of which the page shows the beginning only.
async function longText(message) {
  const asked = { key, talk, message: messages.indexOf(message) };
  return (await server.text(JSON.stringify(asked))) || null;
}

// After everything was drawn anew: the message that was acted on stays where it was, and its button keeps the focus.
function settle() {
  const was = act;
  act = null;
  const message = was && messages[was.message];
  if (!message) return false;
  log.scrollTop += message.box.getBoundingClientRect().top - was.top;
  const button = message.tools?.querySelector(`[data-tool=${was.name}]:not(:disabled)`);
  (button || message.tools?.querySelector("button:not(:disabled)"))?.focus({ preventScroll: true });
  return true;
}
