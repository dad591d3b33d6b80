// The large view of a result: next and last by keys, buttons and swipes; zoom; and "search from this" beside it.

import { strip } from "./bits.js";
import { announce, byId, counted, icon, isolated, make } from "./dom.js";
import { largePicture } from "./pictures.js";
import { searchLink } from "./results.js";
import { chosen, toggle } from "./selection.js";
import { zoomable } from "./zoom.js";

const STEP = 1.4;

let items = [];
let at = 0;
let context = null;
let zoom = null;
let parts = null;

const tool = (name, words, onclick) => make("button", { type: "button", class: "quiet square", "aria-label": words, title: words, onclick }, icon(name));

function step(by) {
  const next = at + by;
  if (next < 0 || next >= items.length) return;
  at = next;
  show();
}

function close() {
  byId("viewer").close();
}

function away(item) {
  if (item.distance === undefined) return null;
  return item.weighted_distance === undefined ? `${counted(item.distance, "bit")} away` : `${item.weighted_distance.toFixed(2)} away`;
}

function actions(item) {
  const { state, crop } = context;
  const from = searchLink(item, state, { class: "button strong", id: "viewer-search" }, "Search from this");
  from.addEventListener("click", close);
  const isChosen = chosen.has(item.id);
  const pick = make("button", { type: "button", "aria-pressed": String(isChosen), onclick: () => { toggle(item, !chosen.has(item.id)); side(item); keepFocus(); } }, isChosen ? "Selected" : "Select");
  const region = crop && item.thumbnail && make("button", { type: "button", id: "viewer-crop", onclick: () => { close(); crop(item); } }, icon("crop"), "Search a region");
  return make("p", { class: "viewer-actions" }, from, region, pick);
}

function side(item) {
  const { code, nBits } = context;
  const labels = item.labels.map((label) => isolated(label, { class: "label" }));
  parts.side.replaceChildren(
    make("h2", { id: "viewer-title", class: "labels" }, labels.length ? labels : `Image ${item.id}`),
    make("p", { class: "muted" }, [`Image ${item.id}`, away(item), item.trained_on && "the network was trained on it"].filter(Boolean).join(" · ")),
    item.path !== null && make("p", { class: "path" }, isolated(item.path)),
    code && strip(item.code, nBits, code),
    actions(item));
}

/** Keep the focus in the view, where keys are heard: what had it may be gone, or of no use any more. */
function keepFocus() {
  const focused = document.activeElement;
  if (!byId("viewer").contains(focused) || focused.disabled) byId("viewer-search").focus();
}

function show() {
  const item = items[at];
  zoom.reset();
  parts.picture.replaceChildren(largePicture(item));
  side(item);
  parts.count.textContent = `${(at + 1).toLocaleString("en")} of ${items.length.toLocaleString("en")}`;
  parts.last.disabled = at === 0;
  parts.next.disabled = at === items.length - 1;
  keepFocus();
  announce(`${parts.count.textContent}: ${item.labels.join(", ") || `image ${item.id}`}`);
}

const KEYS = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), Home: () => step(-at), End: () => step(items.length - 1 - at),
  "+": () => zoom.by(STEP), "=": () => zoom.by(STEP), "-": () => zoom.by(1 / STEP), 0: () => zoom.reset(),
  s: () => byId("viewer-search").click(), x: () => parts.side.querySelector("[aria-pressed]").click(), v: close,
};

function build(dialog) {
  const picture = make("div", { class: "viewer-picture" });
  const [last, next] = [tool("left", "The one before", () => step(-1)), tool("right", "The next one", () => step(1))];
  const stage = make("div", { class: "viewer-stage" }, picture, make("div", { class: "viewer-last" }, last), make("div", { class: "viewer-next" }, next));
  const count = make("p", { class: "muted" });
  const head = make("div", { class: "viewer-head" }, count, tool("minus", "Smaller", () => zoom.by(1 / STEP)), tool("plus", "Larger", () => zoom.by(STEP)), tool("close", "Close", close));
  parts = { picture, last, next, count, side: make("div", { class: "viewer-side" }) };
  zoom = zoomable(stage, picture, step);
  dialog.replaceChildren(head, stage, parts.side);
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  dialog.addEventListener("close", () => document.querySelector(`.pic[data-key="item-${items[at].id}"]`)?.focus({ preventScroll: false }));
}

/** Show one of the results large, the others a step away; `about` has state, code and nBits, and `crop` where regions can be searched. */
export function showViewer(results, item, about) {
  const dialog = byId("viewer");
  if (!parts) build(dialog);
  [items, at, context] = [results, results.indexOf(item), about];
  if (!dialog.open) dialog.showModal();
  show();
  byId("viewer-search").focus();
}
