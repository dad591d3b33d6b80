// The keyboard: single keys, and arrows among pictures.

import { byId } from "./dom.js";

const STORE = "nearbit-keys";
const PICTURES = ".pic, .tile";

/** What help says: keys, and what they do. */
export const KEYS = [
  [["/"], "Type an id or a code"],
  [["u"], "Choose an image"],
  [["r"], "Search by a random image"],
  [["←", "→", "↑", "↓"], "Go from picture to picture"],
  [["Enter"], "Search by the picture"],
  [["v"], "Show the picture large; there ← → go on, + − zoom, s searches"],
  [["x"], "Select the picture, or leave it out"],
  [["c"], "Compare what is selected"],
  [["Esc"], "Close, clear the selection, or go to the start"],
  [["?"], "This help"],
];

export const keysOn = () => localStorage.getItem(STORE) !== "off";
export const setKeys = (on) => localStorage.setItem(STORE, on ? "on" : "off");

const center = (node) => {
  const { left, right, top, height } = node.getBoundingClientRect();
  return { x: (left + right) / 2, y: top + height / 2, height };
};

/** Find the picture that lies in a direction from another one: the nearest in the next row, or the next in order. */
function neighbor(pictures, at, key) {
  if (key === "ArrowRight") return pictures[at + 1];
  if (key === "ArrowLeft") return pictures[at - 1];
  const here = center(pictures[at]);
  const down = key === "ArrowDown" ? 1 : -1;
  const beyond = pictures.map((node) => ({ node, ...center(node) })).filter(({ y }) => down * (y - here.y) > here.height / 2);
  const row = Math.min(...beyond.map(({ y }) => down * y));
  const inRow = beyond.filter(({ y }) => down * y - row < here.height / 2);
  return inRow.sort((one, other) => Math.abs(one.x - here.x) - Math.abs(other.x - here.x))[0]?.node;
}

function move(event) {
  const pictures = [...document.querySelectorAll(PICTURES)].filter((node) => node.offsetParent !== null && node.matches("a"));
  if (pictures.length === 0) return;
  const at = pictures.indexOf(document.activeElement.closest?.("a"));
  if (at < 0 && document.activeElement !== document.body && document.activeElement.tabIndex >= 0) return;
  const next = at < 0 ? pictures[0] : neighbor(pictures, at, event.key);
  if (!next) return;
  event.preventDefault();
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

const isTyping = (node) => node.matches?.("input:not([type=checkbox]), textarea, select") ?? false;

/** Follow keys; `actions` holds a function for each of "/", "?", "u", "r", "x", "c" and "Escape". */
export function followKeys(actions) {
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      if (isTyping(event.target)) event.target.blur();
      else actions.Escape();
      return;
    }
    if (isTyping(event.target)) return;
    if (event.key.startsWith("Arrow")) move(event);
    else if (keysOn() && Object.hasOwn(actions, event.key)) {
      event.preventDefault();
      actions[event.key]();
    }
  });
  byId("help").addEventListener("click", actions["?"]);
}
