// What a result says about the word or the cell that is pointed at, by mouse, touch or keyboard.
const CELLS = ".sd-heat td[data-row]";

function readout(part, text) {
  const line = part.querySelector(".sd-readout");
  line.dataset.idle ??= line.textContent;
  line.textContent = text || line.dataset.idle;
}

function forget() {
  for (const node of element.querySelectorAll(".sd-picked, .sd-lit")) node.classList.remove("sd-picked", "sd-lit");
  for (const node of element.querySelectorAll(".sd-word")) node.style.removeProperty("--sd-weight");
  for (const part of element.querySelectorAll(".sd-why, .sd-alignment")) if (part.querySelector(".sd-readout")) readout(part, "");
  for (const marker of element.querySelectorAll(".sd-marker")) marker.style.removeProperty("--sd-at");
}

// A piece of a text that was classified.
function pickPiece(piece) {
  forget();
  const part = piece.closest(".sd-why");
  piece.classList.add("sd-picked");
  const { share, after, at } = piece.dataset;
  const token = piece.matches(".sd-unknown") ? say("results.unknown", { token: piece.dataset.token }) : piece.dataset.token;
  const said = share ? [say("results.said_share", { token, share, label: part.dataset.label })] : [token];
  if (after) said.push(say("results.said_after", { after }));
  readout(part, said.join(" · "));
  part.querySelector(".sd-marker")?.style.setProperty("--sd-at", `${at}%`);
}

// A cell of an alignment: its row, its column and its two words.
function pickCell(cell) {
  forget();
  const part = cell.closest(".sd-alignment");
  const { row, at, weight } = cell.dataset;
  cell.classList.add("sd-picked");
  for (const other of part.querySelectorAll(`td[data-row="${row}"], td[data-at="${at}"], thead th[data-at="${at}"]`)) other.classList.add("sd-lit");
  cell.parentElement.querySelector("th").classList.add("sd-lit");
  const source = word(part, "source", at);
  const target = word(part, "target", row);
  for (const one of [source, target]) one.classList.add("sd-picked");
  readout(part, say("results.said_weight", { source: source.textContent.trim(), target: target.textContent.trim(), weight }));
}

function word(part, side, at) {
  return part.querySelector(`.sd-word[data-side="${side}"][data-at="${at}"]`);
}

// A word of either text: how strongly it is tied to each word of the other.
function pickWord(chosen) {
  forget();
  const part = chosen.closest(".sd-alignment");
  const { side, at } = chosen.dataset;
  chosen.classList.add("sd-picked");
  const cells = part.querySelectorAll(side === "source" ? `td[data-at="${at}"]` : `td[data-row="${at}"]`);
  let best = null;
  for (const cell of cells) {
    cell.classList.add("sd-lit");
    const weight = Number(cell.style.getPropertyValue("--sd-weight"));
    const other = side === "source" ? word(part, "target", cell.dataset.row) : word(part, "source", cell.dataset.at);
    other.style.setProperty("--sd-weight", weight);
    if (!best || weight > best.weight) best = { weight, cell, other };
  }
  const [source, target] = side === "source" ? [chosen, best.other] : [best.other, chosen];
  readout(part, say("results.said_weight", { source: source.textContent.trim(), target: target.textContent.trim(), weight: best.cell.dataset.weight }));
}

function pick(node) {
  if (node.matches(".sd-piece")) pickPiece(node);
  else if (node.matches(CELLS)) pickCell(node);
  else pickWord(node);
}

function pointed(event) {
  const node = event.target.closest?.(`.sd-piece, .sd-word, ${CELLS}`);
  if (node && element.contains(node)) pick(node);
}

element.addEventListener("pointerover", pointed);
element.addEventListener("click", pointed);
element.addEventListener("pointerleave", (event) => {
  if (event.pointerType === "mouse" && !element.contains(document.activeElement)) forget();
});
element.addEventListener("focusin", (event) => {
  if (event.target.matches(CELLS) && event.target.matches(":focus-visible")) pickCell(event.target);
});
element.addEventListener("focusout", (event) => {
  if (!element.contains(event.relatedTarget)) forget();
});

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
element.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target.matches(".sd-reading")) {
    const pieces = [...event.target.children];
    const now = pieces.findIndex((piece) => piece.matches(".sd-picked"));
    const next = pieces[Math.min(Math.max(now + step[0] + step[1], 0), pieces.length - 1)];
    if (next) pickPiece(next);
  } else if (event.target.matches(CELLS)) {
    const { row, at } = event.target.dataset;
    const next = event.target.closest("table").querySelector(`td[data-row="${Number(row) + step[0]}"][data-at="${Number(at) + step[1]}"]`);
    if (!next) return;
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  } else return;
  event.preventDefault();
});
