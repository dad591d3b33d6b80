// What was searched by, and how long that took.

import { item as itemOf, token, originalUrl } from "./api.js";
import { strip } from "./bits.js";
import { byId, draw, isolated, make, milliseconds } from "./dom.js";
import { keptPicture, largePicture, pictureBox } from "./pictures.js";

const STEPS = ["model", "upload", "decode", "encode", "search", "other"];
const WORTH_SAYING_MS = 1;

function bar(timings) {
  const sum = STEPS.reduce((total, step) => total + timings[step], 0) || 1;
  let left = 0;
  const parts = STEPS.map((step) => {
    const part = draw("rect", { class: `step-${step}`, x: left, y: 0, width: (100 * timings[step]) / sum, height: 4 });
    left += (100 * timings[step]) / sum;
    return part;
  });
  return draw("svg", { class: "time-bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}

function times(timings) {
  const row = (step, words) => make("div", {},
    make("dt", {}, make("span", { class: `dot step-${step}`, "aria-hidden": "true" }), words), make("dd", {}, timings[step] > 0 ? milliseconds(timings[step]) : "–"));
  return make("div", { class: "times" }, bar(timings),
    make("dl", {}, timings.model >= WORTH_SAYING_MS && row("model", "Loading the model"), row("upload", "Upload"),
      row("decode", "Decode"), row("encode", "Encode"), row("search", "Search"), row("other", "Other"), row("total", "Total"),
      timings.page !== undefined && row("page", "Round trip")));
}

function facts({ title, labels = [], path = null, code, nBits }) {
  return make("div", { class: "query-facts" },
    make("h2", {}, isolated(title)),
    labels.length > 0 && make("p", { class: "labels" }, labels.map((label) => isolated(label, { class: "label" }))),
    path !== null && make("p", { class: "path", title: path }, isolated(path)),
    strip(code, nBits),
    make("p", { class: "code" }, make("code", {}, code)));
}

function link(item) {
  if (!item.has_original || token()) return null;
  return make("p", { class: "open" }, make("a", { href: originalUrl(item) }, "Save the original"));
}

/** Show the query: at once what is known of it, then what the index says of it. */
export async function showQuery(state, answer) {
  const { code } = answer.query;
  const place = byId("query");
  const present = (picture, words, ...more) => {
    const about = facts({ ...words, code, nBits: answer.nBits });
    place.replaceChildren(picture, make("div", { class: "query-words" }, about, times(answer.timings), ...more));
  };
  const kept = state.query.id === undefined ? keptPicture(code) : null;
  if (kept) return present(pictureBox(kept.url, "The picture that was searched by", { eager: true }), { title: kept.name });
  if (state.query.id === undefined) return present(make("span", { class: "box absent" }), { title: "A code" });
  const self = answer.neighbors.find(({ id }) => id === state.query.id);
  const item = self ?? (await itemOf(state.query.id));
  return present(largePicture(item), { title: `Image ${item.id}`, labels: item.labels, path: item.path }, link(item));
}
