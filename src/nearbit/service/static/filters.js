// How many results, how far away, with which labels.

import { hasOutputs, labelCounts } from "./api.js";
import { byId, isolated, make, shows } from "./dom.js";
import { go, LARGEST_K } from "./state.js";

const LISTED = 200;
let state = null;
let nBits = 64;
let counts = null;
let here = new Map();
let parts = null;

function range(id, words, attributes, text) {
  const output = make("output", { for: id });
  const input = make("input", { type: "range", id, ...attributes });
  const update = () => (output.textContent = text(Number(input.value)));
  input.addEventListener("input", update);
  return { input, update, row: make("div", { class: "field" }, make("label", { for: id }, words), output, input) };
}

function radiusWords(radius) {
  if (radius >= nBits) return "any";
  return state.ranking === "hamming" ? `${radius} bit${radius === 1 ? "" : "s"}` : String(radius);
}

function build() {
  const k = range("filter-k", "Most results", { min: 1, max: LARGEST_K, value: 24 }, String);
  const radius = range("filter-radius", "At most away", { min: 0, max: nBits, value: nBits }, radiusWords);
  const unique = make("input", { type: "checkbox", id: "filter-unique" });
  const ranking = make("input", { type: "checkbox", id: "filter-ranking" });
  const needs = make("p", { class: "muted", id: "filter-ranking-needs", hidden: true }, "By distance: only a picture of yours, or an image whose outputs the index keeps, has outputs.");
  const find = make("input", { type: "search", id: "filter-find", placeholder: "Find a label", autocomplete: "off", spellcheck: "false" });
  const list = make("ul", { class: "label-list", tabindex: "-1" });
  const clear = make("button", { type: "button", class: "quiet", id: "filter-clear" }, "Remove all filters");
  k.input.addEventListener("change", () => go({ ...state, k: Number(k.input.value) }, { replace: true }));
  radius.input.addEventListener("change", () => {
    const value = Number(radius.input.value);
    go({ ...state, radius: value >= nBits ? null : value }, { replace: true });
  });
  unique.addEventListener("change", () => go({ ...state, unique: unique.checked }));
  ranking.addEventListener("change", () => go({ ...state, ranking: ranking.checked ? "asymmetric" : "hamming" }));
  find.addEventListener("input", listLabels);
  list.addEventListener("change", (event) => {
    const { value, checked } = event.target;
    const others = state.labels.filter((label) => label !== value);
    go({ ...state, labels: checked ? [...others, value] : others });
  });
  clear.addEventListener("click", () => go({ ...state, radius: null, labels: [], unique: false }));
  parts = { k, radius, unique, ranking, needs, find, list, clear };
  byId("filter-form").replaceChildren(k.row, radius.row,
    make("label", { class: "check" }, unique, make("span", {}, "Hide exact duplicates")),
    make("label", { class: "check" }, ranking, make("span", {}, "Rank by outputs")), needs,
    make("fieldset", {}, make("legend", {}, "Labels"), make("label", { class: "hidden", for: "filter-find" }, "Find a label"), find, list),
    clear);
}

/** Count the labels among the results. */
function countsOf(neighbors) {
  const found = new Map();
  for (const { labels } of neighbors) for (const label of new Set(labels)) found.set(label, (found.get(label) ?? 0) + 1);
  return found;
}

function option({ name, count }, at) {
  const box = make("input", { type: "checkbox", value: name, id: `label-${at}` });
  box.checked = state.labels.includes(name);
  return make("li", {}, make("label", { class: "check" }, box, isolated(name), make("span", { class: "count" }, here.has(name) ? `${here.get(name).toLocaleString("en")} of ${count.toLocaleString("en")}` : count.toLocaleString("en"))));
}

/** Return the labels that hold what was typed, in three parts: selected, among the results, and all others by how many have them. */
function listed() {
  const words = parts.find.value.trim().toLowerCase();
  const known = new Set(counts.map(({ name }) => name));
  const strange = state.labels.filter((name) => !known.has(name)).map((name) => ({ name, count: 0 }));
  const isChosen = ({ name }) => state.labels.includes(name);
  const matching = [...strange, ...counts].filter((one) => one.name.toLowerCase().includes(words) || isChosen(one));
  const order = (of) => (one, other) => of(other) - of(one) || one.name.localeCompare(other.name);
  const rest = matching.filter((one) => !isChosen(one));
  return [
    ["", matching.filter(isChosen)],
    ["Among these results", rest.filter(({ name }) => here.has(name)).sort(order(({ name }) => here.get(name)))],
    [here.size ? "Others, the most frequent first" : "", rest.filter(({ name }) => !here.has(name)).sort(order(({ count }) => count))],
  ];
}

function listLabels() {
  if (counts === null) return;
  const rows = [];
  let left = LISTED;
  for (const [title, labels] of listed()) {
    if (labels.length > 0 && title) rows.push(make("li", { class: "muted part" }, title));
    rows.push(...labels.slice(0, left).map((one) => option(one, rows.length + labels.indexOf(one))));
    if (labels.length > left) rows.push(make("li", { class: "muted" }, `${labels.length - left} more: type to find them`));
    left -= Math.min(left, labels.length);
  }
  if (rows.length === 0) rows.push(make("li", { class: "muted" }, counts.length ? "No label like that" : "No image has a label"));
  const focus = document.activeElement?.id;
  parts.list.replaceChildren(...rows);
  if (focus?.startsWith("label-")) parts.list.querySelector("input")?.focus({ preventScroll: true });
}

/** Show the filters as they are set. */
export async function showFilters(next, { nBits: bits, neighbors }) {
  state = next;
  here = countsOf(neighbors);
  if (!parts || bits !== nBits) {
    nBits = bits;
    build();
    byId("filters").open = shows("(min-width: 900px)");
  }
  parts.k.input.value = state.k;
  parts.radius.input.value = state.radius ?? nBits;
  parts.k.update();
  parts.radius.update();
  parts.unique.checked = state.unique;
  parts.ranking.checked = state.ranking !== "hamming";
  const active = (state.radius !== null) + state.labels.length + state.unique;
  parts.clear.hidden = active === 0;
  byId("filters-active").textContent = active ? ` (${active})` : "";
  listLabels();
  const able = await hasOutputs(next.query);
  if (next === state) parts.needs.hidden = able || !parts.ranking.checked;
  counts = await labelCounts();
  listLabels();
}
