// Gradio passes over a press of Send, or Enter, until it is done with the last one, which is a little after the page shows
// that it is. Such a press is made again then; one made while nothing of the last one is shown yet is a second press.
const SEND = "#sd-send";
const BOX = "#sd-input textarea";
let presses = 0;
let taken = 0;

function pressed() {
  if (!document.body.classList.contains("sd-busy")) presses++;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.matches?.(BOX)) pressed();
}, true);
document.addEventListener("click", (event) => event.target.closest?.(SEND) && pressed(), true);
document.addEventListener("seqdemo:shown", () => (presses = taken = 0));
document.addEventListener("seqdemo:sending", () => (taken = presses));
document.addEventListener("seqdemo:sent", () => {
  const missed = presses > taken;
  presses = taken = 0;
  if (missed) setTimeout(() => document.querySelector(SEND).click());
});
