// What was searched by, and how long that took.

import { aboutIndex, item as itemOf, token, originalUrl } from "./api.js";
import { cropItem, cropKept } from "./crop.js";
import { strip } from "./bits.js";
import { announce, byId, draw, icon, isolated, make, milliseconds, shows } from "./dom.js";
import { keptPicture, largePicture, pictureBox } from "./pictures.js";
import { trainedOn, verdict } from "./verdict.js";

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

function facts({ title, labels = [], path = null }) {
  return [
    make("h2", {}, isolated(title)),
    labels.length > 0 && make("p", { class: "labels" }, labels.map((label) => isolated(label, { class: "label" }))),
    path !== null && make("p", { class: "path", title: path }, isolated(path)),
  ];
}

function link(item) {
  if (!item.has_original || token()) return null;
  return make("p", { class: "open" }, make("a", { href: originalUrl(item) }, "Save the original"));
}

async function copyLink(button) {
  await navigator.clipboard.writeText(location.href);
  button.replaceChildren(icon("check"), make("span", { class: "wide" }, "Copied"));
  announce("Copied the link");
}

function actions(crop) {
  const share = make("button", { type: "button", class: "quiet", "aria-label": "Copy the link", title: "Copy the link", onclick: () => copyLink(share) }, icon("link"), make("span", { class: "wide" }, "Copy the link"));
  return make("p", { class: "query-actions" }, crop && make("button", { type: "button", class: "quiet", id: "query-crop", onclick: crop }, icon("crop"), "Search a region"), share);
}

/** The code and the times: below what was found on a wide window, behind a heading on a narrow one. */
function more(answer, ...rest) {
  const { code } = answer.query;
  const details = make("details", { class: "more" }, make("summary", {}, "Code and times"),
    strip(code, answer.nBits), make("p", { class: "code" }, make("code", {}, code)), times(answer.timings), ...rest);
  details.open = shows("(min-width: 900px)");
  return details;
}

/** Show the query: at once what is known of it, then what the index says of it. */
export async function showQuery(state, answer, take) {
  const { query } = state;
  const { has_model: encodes } = await aboutIndex();
  const present = (picture, words, crop, ...rest) => byId("query").replaceChildren(picture,
    make("div", { class: "query-words" }, ...[...facts(words), verdict(answer, state), trainedOn(answer, state), actions(encodes ? crop : null), more(answer, ...rest)].filter(Boolean)));
  if (query.text !== undefined) return present(make("span", { class: "words-mark", "aria-hidden": "true" }, "“”"), { title: query.text }, null);
  const kept = query.id === undefined ? keptPicture(query) : null;
  if (kept) return present(pictureBox(kept.url, "The picture that was searched by", { eager: true }), { title: kept.name }, () => cropKept(query, take));
  if (query.id === undefined) return present(make("span", { class: "box absent" }), { title: "A code" }, null);
  const self = answer.neighbors.find(({ id }) => id === query.id);
  const item = self ?? (await itemOf(query.id));
  const crop = item.thumbnail ? () => cropItem(item, take) : null;
  return present(largePicture(item), { title: `Image ${item.id}`, labels: item.labels, path: item.path }, crop, link(item));
}
