// What lies near what, without a query: groups of near-duplicates, and clusters with their typical pictures.

import { aboutIndex, clusters, duplicates } from "./api.js";
import { announce, byId, counted, icon, isolated, make } from "./dom.js";
import { message } from "./messages.js";
import { thumbnail } from "./pictures.js";
import { searchLink } from "./results.js";
import { addressOf, go } from "./state.js";

const FARTHEST = 16;
const MOST_CLUSTERS = 200;
const SHARE_OF_CLASSES = 0.5;

const KINDS = [["duplicates", "Duplicates"], ["clusters", "Clusters"]];

function tabs(state) {
  return make("nav", { class: "tabs", "aria-label": "Kinds of groups" }, ...KINDS.map(([kind, words]) => {
    const next = { ...state, view: kind };
    const link = make("a", { href: addressOf(next), "aria-current": state.view === kind ? "true" : null }, words);
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      go(next);
    });
    return link;
  }));
}

function tile(item, state, words) {
  const name = item.labels.length ? item.labels.join(", ") : `Image ${item.id}`;
  return make("li", {}, searchLink(item, state, { class: "tile", "aria-label": `Search by image ${item.id}: ${name}, ${words}` },
    thumbnail(item), make("span", { class: "tile-name" }, make("b", {}, words), " ", isolated(name))));
}

function group({ title, note, items, size, words }, state) {
  const rest = size - items.length;
  return make("section", { class: size > 2 ? "members" : "members few" },
    make("h2", {}, ...title), note && make("p", { class: "muted" }, note),
    make("ul", { class: "tiles" }, ...items.map((item, at) => tile(item, state, words(item, at))),
      rest > 0 && make("li", { class: "rest muted" }, `and ${counted(rest, "more image", "more images")}`)));
}

function slider(id, words, { min, max, value, text }, change) {
  const output = make("output", { for: id }, text(value));
  const input = make("input", { type: "range", id, min, max, value });
  input.addEventListener("input", () => (output.textContent = text(Number(input.value))));
  input.addEventListener("change", () => change(Number(input.value)));
  return make("div", { class: "field reach" }, make("label", { for: id }, words), output, input);
}

const away = (item, at) => (at === 0 ? "first" : counted(item.distance, "bit"));

function duplicateGroup({ size, same_labels: isOne, items }, state) {
  return group({ title: [counted(size, "image")], note: isOne ? null : "Different labels: is one of them wrong?", items, size, words: away }, state);
}

function advice(found) {
  if (found.n_others <= SHARE_OF_CLASSES * found.items) return null;
  return message("These codes tell classes apart, not pictures",
    [`${found.n_others.toLocaleString("en")} of ${counted(found.items, "image")} lie that near to another one. Take a smaller distance, or let nearbit duplicates --confirm compare the pictures.`], { kind: "calm" });
}

function command(name, radius) {
  return make("p", { class: "muted" }, "Nothing is deleted here. For the list of files to act on: ",
    make("code", {}, `nearbit duplicates ${name} --radius ${radius} --confirm -o copies.txt`));
}

async function showMore(found, list, button, state) {
  const next = await duplicates(state.within, found.next_first);
  list.append(...next.groups.map((one) => duplicateGroup(one, state)));
  if (next.next_first === null) button.remove();
  else button.onclick = () => showMore(next, list, button, state);
}

async function duplicatesPart(state) {
  const [index, found] = await Promise.all([aboutIndex(), duplicates(state.within)]);
  const words = found.n_groups ? `${counted(found.n_groups, "group")} of ${counted(found.n_groups + found.n_others, "image")}` : "No two images are that near";
  announce(words);
  const list = make("div", { class: "near-groups" }, ...found.groups.map((one) => duplicateGroup(one, state)));
  const button = make("button", { type: "button" }, icon("random"), "More groups");
  button.onclick = () => showMore(found, list, button, state);
  const reach = slider("reach", "At most apart", { min: 0, max: FARTHEST, value: state.within, text: (bits) => counted(bits, "bit") },
    (within) => go({ ...state, within }, { replace: true }));
  return [
    make("p", { class: "muted" }, "Images whose codes differ in few bits. A chain of near images is one group: its ends may lie farther apart."),
    reach, make("p", { class: "groups-found" }, words), advice(found), found.n_groups > 0 && command(index.name, state.within), list,
    found.next_first !== null && button,
  ];
}

function labelWords({ labels, size }) {
  return labels.map(({ label, items }) => [isolated(label), ` ${Math.round((100 * items) / size)} %`]).flatMap((one, at) => (at ? [", ", ...one] : one));
}

async function clustersPart(state) {
  const found = await clusters(state.number);
  const words = `${counted(found.items, "image")} in ${counted(found.clusters.length, "cluster")}`;
  announce(words);
  const how = slider("number", "How many", { min: 1, max: MOST_CLUSTERS, value: found.clusters.length || 1, text: String },
    (number) => go({ ...state, number }, { replace: true }));
  const one = ({ size, mean_distance: mean, items, labels }) => group({
    title: [counted(size, "image"), labels.length ? " · " : "", ...labelWords({ labels, size })],
    note: `${mean.toFixed(1)} bits from the center on average`, items, size,
    words: (item, at) => (at === 0 ? "typical" : counted(item.distance, "bit")),
  }, state);
  return [
    make("p", { class: "muted" }, "Images around centers, each the majority of its codes, bit by bit. The first image of each is the nearest to its center."),
    how, make("p", { class: "groups-found" }, words), make("div", {}, ...found.clusters.map(one)),
  ];
}

/** Show groups or clusters, as the state says. */
export async function showGroups(state, isWanted) {
  const place = byId("groups-view");
  const head = () => [make("h1", { class: "about-title" }, "Groups"), tabs(state)];
  if (place.dataset.kind !== state.view) place.replaceChildren(...head(), make("p", { class: "muted" }, "Loading"));
  place.dataset.kind = state.view;
  const parts = await (state.view === "clusters" ? clustersPart(state) : duplicatesPart(state));
  if (!isWanted()) return;
  const focus = document.activeElement?.id;
  place.replaceChildren(...head(), ...parts.filter(Boolean));
  if (focus) byId(focus)?.focus({ preventScroll: true });
}
