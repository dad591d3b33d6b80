// What the results say together: which label prevails, where they stop being alike, what the network has seen before.

import { health } from "./api.js";
import { counted, isolated, make } from "./dom.js";

const NEAREST = 5;
const PATIENCE_MS = 300;

/** Leave out the query itself, where it is one of the images. */
const others = ({ neighbors }, { query }) => neighbors.filter(({ id }) => id !== query.id);

function labelsOf(items) {
  const counts = new Map();
  for (const { labels } of items) for (const label of new Set(labels)) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].sort(([one, first], [other, second]) => second - first || one.localeCompare(other));
}

/** Say which label the nearest images have; null where they have none. */
export function verdict(answer, state) {
  const nearest = others(answer, state).slice(0, NEAREST);
  const [first, second] = labelsOf(nearest);
  if (!first) return null;
  const [label, count] = first;
  const rest = nearest.length === 1 ? "the nearest one" : `${count} of the ${nearest.length} nearest`;
  const isClear = 2 * count > nearest.length || !second || second[1] < count;
  return make("p", { class: isClear ? "verdict" : "verdict unclear" }, make("b", {}, isClear ? isolated(label) : "No label prevails"),
    isClear ? `: ${rest}` : `: ${count} each of the ${nearest.length} nearest`);
}

/** Say how many of the results the network was trained on; null where none is known to be one of them. */
export function trainedOn(answer, state) {
  const items = others(answer, state);
  const seen = items.filter(({ trained_on: isSeen }) => isSeen).length;
  if (seen === 0) return null;
  const words = seen === items.length ? "The network was trained on all of these" : `The network was trained on ${seen.toLocaleString("en")} of these ${counted(items.length, "image")}`;
  return make("p", { class: "muted trained-note" }, `${words}: they look better than new ones would.`);
}

/** Return the distance up to which two images are likely of one class; null where no centers tell, or not soon. */
export async function likelyDistance() {
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
  const told = health().then(({ likely_distance: bits }) => bits, () => null);
  return Promise.race([told, late]);
}
