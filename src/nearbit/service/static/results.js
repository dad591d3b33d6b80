// The results: a list of cards in rank order, grouped by distance, so that ties are seen as ties.

import { originalUrl, searchFor, token } from "./api.js";
import { strip } from "./bits.js";
import { announce, byId, counted, icon, isolated, make, milliseconds } from "./dom.js";
import { nothingFound } from "./messages.js";
import { download, fileName, thumbnail } from "./pictures.js";
import { chosen, onSelection, selectAll, toggle } from "./selection.js";
import { addressOf, go } from "./state.js";

const WAIT_BEFORE_FETCH = 80;

let enlarge = () => {};
export const onEnlarge = (listener) => (enlarge = listener);

/** Leave out all but the first of the items whose picture is the same. */
function withoutRepeats(neighbors) {
  const seen = new Set();
  return neighbors.filter((item) => {
    const key = item.digest ?? `item ${item.id}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** What a result is ranked by: its distance, or with outputs its weighted distance. */
const away = (item) => item.weighted_distance ?? item.distance;
const awayWords = (item) => (item.weighted_distance === undefined ? counted(item.distance, "bit") : item.weighted_distance.toFixed(2));

function groupsOf(neighbors) {
  const groups = [];
  for (const item of neighbors) {
    if (groups.length > 0 && away(groups.at(-1).items[0]) === away(item)) groups.at(-1).items.push(item);
    else groups.push({ items: [item] });
  }
  return groups;
}

async function copy(text, button) {
  await navigator.clipboard.writeText(text);
  button.replaceChildren(icon("check"));
  announce(`Copied ${text}`);
  setTimeout(() => button.replaceChildren(icon("copy")), 1200);
}

function tools(item) {
  const name = fileName(item.path) ?? `image ${item.id}`;
  const copier = make("button", { type: "button", class: "tool", "aria-label": `Copy the path of ${name}`, title: "Copy the path" }, icon("copy"));
  copier.addEventListener("click", () => copy(item.path, copier));
  const words = { "aria-label": `Download ${name}`, title: "Download the original" };
  const saver = token()
    ? make("button", { type: "button", class: "tool", onclick: () => download(item), ...words }, icon("download"))
    : make("a", { class: "tool", href: originalUrl(item), download: name, ...words }, icon("download"));
  return make("span", { class: "tools" }, item.path !== null && copier, item.has_original && saver);
}

/** Fetch the answer of a link that someone is about to follow. */
function ahead(link, next) {
  let timer = null;
  const start = () => (timer = setTimeout(() => searchFor(next).catch(() => {}), WAIT_BEFORE_FETCH));
  link.addEventListener("pointerenter", start);
  link.addEventListener("pointerleave", () => clearTimeout(timer));
}

/** Make a link that searches by an item. */
export function searchLink(item, state, attributes, ...children) {
  const next = { ...state, view: "search", query: { id: item.id } };
  const link = make("a", { href: addressOf(next), "data-key": `item-${item.id}`, ...attributes }, ...children);
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(next);
  });
  ahead(link, next);
  return link;
}

function labelsAndPath(item) {
  const labels = item.labels.map((label) => isolated(label, { class: "label" }));
  return [
    make("p", { class: "labels" }, labels.length ? labels : make("span", { class: "muted" }, "no label")),
    item.path !== null && make("p", { class: "path", title: item.path }, isolated(item.path)),
  ];
}

function marks(item, state) {
  const large = make("button", { type: "button", class: "enlarge", "aria-label": `Show image ${item.id} large`, title: "Show it large", onclick: () => enlarge(item) }, icon("expand"));
  const seen = make("span", { class: "badge trained", title: "The network was trained on this very picture" }, "trained on");
  return [large, item.id === state.query.id && make("span", { class: "badge" }, "the query"), item.trained_on && seen];
}

function card(item, { group, first, last, state, code, nBits }) {
  const tied = group.items.length > 1;
  const bits = awayWords(item);
  const name = `Search by image ${item.id}: rank ${item.rank}${tied ? ", tied" : ""}, ${bits} away${item.labels.length ? `, ${item.labels.join(", ")}` : ""}`;
  const box = make("input", { type: "checkbox", class: "pick", "aria-label": `Select image ${item.id}`, "data-id": item.id });
  box.checked = chosen.has(item.id);
  box.addEventListener("change", () => toggle(item, box.checked));
  const place = ["card", first && "first", last && "last", group.odd && "odd"].filter(Boolean).join(" ");
  return make("li", { class: place },
    make("p", { class: "measure", "aria-hidden": "true" }, make("b", {}, bits),
      first && tied && make("span", {}, `${group.items.length}${group.open ? " or more" : ""} tied`),
      make("span", { class: "rank" }, String(item.rank))),
    make("div", { class: "frame" }, searchLink(item, state, { class: "pic", "aria-label": name }, thumbnail(item)), box,
      ...marks(item, state)),
    strip(item.code, nBits, code),
    make("div", { class: "facts" },
      make("div", { class: "names" }, ...labelsAndPath(item)), tools(item)),
  );
}

function section(group, odd, context) {
  const count = group.items.length;
  const images = `${counted(count, "image")}${group.open ? " or more" : ""}${count > 1 ? ", tied" : ""}`;
  const title = `${awayWords(group.items[0])} away: ${images}`;
  const cards = group.items.map((item, at) =>
    card(item, { ...context, group: { ...group, odd }, first: at === 0, last: at === count - 1 }));
  return make("section", { class: "group" }, make("h3", { class: "hidden" }, title), make("ul", {}, ...cards));
}

/** Say that what follows lies beyond what one class makes likely; before all of it where nothing lies nearer. */
function lessAlike(groups, state, likely) {
  const isFar = ({ items: [{ distance }] }) => state.ranking === "hamming" && likely !== null && distance > likely;
  const at = groups.findIndex(isFar);
  if (at < 0) return { at, line: null };
  const words = at === 0 ? "Nothing is that alike: these are the nearest there are" : "Less alike from here";
  const why = `More than ${counted(likely, "bit")} away: by the centers of the model rather of another class.`;
  return { at, line: make("p", { class: "apart" }, make("b", {}, words), " ", make("span", { class: "muted" }, why)) };
}

function heading(shown, hidden, timings) {
  const [nearest, furthest] = [shown[0], shown.at(-1)];
  const from = nearest.weighted_distance === undefined ? nearest.distance : awayWords(nearest);
  const range = away(nearest) === away(furthest) ? awayWords(nearest) : `${from} to ${awayWords(furthest)}`;
  const words = `${counted(shown.length, "image")}, ${range} away`;
  const left = hidden ? ` ${counted(hidden, "repeat")} hidden.` : "";
  announce(`${words}. Found in ${milliseconds(timings.total)}.${left}`);
  return make("header", { class: "results-head" },
    make("h2", { id: "results-title", tabindex: "-1" }, words),
    hidden > 0 && make("p", { class: "muted" }, left),
    make("button", { type: "button", class: "quiet", onclick: () => selectAll(shown) }, "Select all"));
}

/** Show what a search found. */
export function showResults(answer, state, likely = null) {
  const neighbors = state.unique ? withoutRepeats(answer.neighbors) : answer.neighbors;
  const place = byId("results");
  place.classList.remove("waiting");
  if (neighbors.length === 0) {
    place.replaceChildren(make("h2", { id: "results-title", class: "hidden" }, "No results"), nothingFound(state));
    return;
  }
  const context = { state, code: answer.query.code, nBits: answer.nBits };
  const groups = groupsOf(neighbors);
  // Results end at k: the last tie may go on.
  groups.at(-1).open = answer.neighbors.length >= state.k;
  const sections = groups.map((group, at) => section(group, at % 2 === 1, context));
  const { at, line } = lessAlike(groups, state, likely);
  if (line) sections.splice(at, 0, line);
  place.replaceChildren(heading(neighbors, answer.neighbors.length - neighbors.length, answer.timings),
    make("div", { class: "grid" }, ...sections));
}

/** Show that results are on their way: boxes of the same shape. */
export function showWaiting(count, words = "Searching") {
  const place = byId("results");
  place.classList.add("waiting");
  const boxes = Array.from({ length: Math.min(count, 24) }, () => make("li", { class: "card" }, make("span", { class: "box" })));
  place.replaceChildren(make("h2", { id: "results-title", tabindex: "-1" }, words),
    make("ul", { class: "grid", "aria-hidden": "true" }, ...boxes));
}

onSelection(() => {
  for (const box of document.querySelectorAll("input.pick")) box.checked = chosen.has(box.dataset.id);
});
