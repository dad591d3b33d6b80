// About this index: figures, the health of its codes, the map of its classes, its model.

import { aboutIndex, centers, health, labelCounts, modelCard } from "./api.js";
import { byId, isolated, make, megabytes } from "./dom.js";
import { message, sentence } from "./messages.js";
import { balanceChart } from "./health.js";
import { classMap } from "./map.js";

const WORDS = {
  distinct_codes: ["Distinct codes", "how many different codes the images have"],
  share_in_largest_groups: ["In the ten largest groups", "share of the images that the ten most frequent codes hold"],
  constant_bits: ["Constant bits", "bits that are the same in every code: they say nothing"],
  bit_imbalance: ["Imbalance of bits", "0 when each bit splits the images in halves, 0.5 when none does"],
  bit_correlation: ["Correlation of bits", "0 when bits say different things, 1 when they repeat each other"],
  tie_at_k: ["Ties at the last result", "how many images lie as far away as the last one of a search, on average"],
  center_margin: ["Nearest two classes", "bits between the two centers that lie nearest to each other"],
  center_spread: ["From image to its class", "bits between an image and the nearest center, on average"],
};

const PERCENT = new Set(["share_in_largest_groups"]);
const MANY = 8;
const DIGITS = 12;

const NAMES = {
  n_bits: "Bits a code", n_train: "Images trained on", n_validation: "Images validated on", validation_map: "mAP on validation",
  file_bytes: "Bytes of the file", cache_bytes: "Bytes of the cache", k: "Most results of a query", tuning: "Backbone, tuned before as a classifier",
  added_since_merge: "Added since the last merge", removed_since_merge: "Removed since the last merge",
};

const plain = (name) => NAMES[name] ?? name.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());

function value(what) {
  if (what === null || what === undefined) return "–";
  if (typeof what === "number") return Number.isInteger(what) ? what.toLocaleString("en") : what.toPrecision(3).replace(/\.?0+$/, "");
  if (typeof what === "boolean") return what ? "yes" : "no";
  if (Array.isArray(what)) return what.flatMap((one, at) => (at ? [", ", value(one)] : [value(one)]));
  if (/^[0-9a-f]{32,}$/.test(what)) return make("code", { title: what }, `${what.slice(0, DIGITS)}…`);
  if (/^\d{4}-\d\d-\d\dT/.test(what)) return new Date(what).toLocaleString("en", { dateStyle: "long", timeStyle: "short" });
  return isolated(String(what));
}

function section(id, title, ...parts) {
  return make("section", { class: "about-part", "aria-labelledby": id }, make("h2", { id }, title), ...parts);
}

function figures(index, labels, sick) {
  const figure = (number, words) => make("div", {}, make("dt", {}, words), make("dd", {}, number));
  const count = (number) => number.toLocaleString("en");
  return make("dl", { class: "figures" },
    figure(count(index.items), "images"), figure(count(index.n_bits), "bits a code"),
    sick && figure(count(sick.distinct_codes), "distinct codes"), figure(count(labels.length), "labels"),
    figure(megabytes(index.file_bytes), "on disk"));
}

function healthPart(sick) {
  const rows = Object.entries(sick).filter(([name, what]) => what !== null && WORDS[name]);
  const advice = sick.advice.length
    ? make("ul", { class: "advice" }, ...sick.advice.map((words) => make("li", {}, sentence(words))))
    : make("p", { class: "fine" }, "Nothing about these codes makes searches poor.");
  return section("about-health", "Health of the codes", advice,
    balanceChart(sick.ones),
    make("dl", { class: "rows" }, ...rows.map(([name, what]) =>
      make("div", {}, make("dt", {}, WORDS[name][0], make("span", {}, WORDS[name][1])), make("dd", {}, PERCENT.has(name) ? `${(100 * what).toFixed(1)} %` : value(what))))));
}

/** List the values of an object, those within it under their own heading. */
function listing(what) {
  const isSaid = ([, inner]) => inner !== null && inner !== undefined && !(Array.isArray(inner) && inner.length === 0);
  const entries = Object.entries(what).filter(isSaid);
  const isNested = ([, inner]) => inner !== null && typeof inner === "object" && !(Array.isArray(inner) && inner.length <= MANY);
  const flat = entries.filter((entry) => !isNested(entry));
  return [
    make("dl", { class: "rows plain" }, ...flat.map(([name, inner]) => make("div", {}, make("dt", {}, plain(name)), make("dd", {}, value(inner))))),
    ...entries.filter(isNested).map(([name, inner]) => make("details", {}, make("summary", {}, plain(name)),
      ...(Array.isArray(inner) ? [make("p", {}, ...value(inner))] : listing(inner)))),
  ];
}

/** Tell what codes keep of the float features that they are made of, and what helps; then list the rest of the model. */
function modelPart({ float_map: whole, kept_share: kept, advice, ...rest }) {
  const share = kept === null ? [] : [
    make("p", { class: "kept" }, `On validation the codes keep ${Math.round(100 * kept)} % of the float features' figure (mAP ${rest.validation_map.toFixed(3)} of ${whole.toFixed(3)}).`),
    ...(advice.length ? [make("ul", { class: "advice" }, ...advice.map((words) => make("li", {}, sentence(words))))] : []),
  ];
  return [...share, ...listing(rest)];
}

async function orMessage(work) {
  try {
    return await work;
  } catch (problem) {
    if (problem.status === undefined || problem.status === 401 || problem.status === 0) throw problem;
    return problem;
  }
}

const without = (problem, title) => message(title, [problem.message, problem.hint].filter(Boolean).map(sentence), { kind: "calm" });

/** Show what the index is and how good its codes are. */
export async function showAbout() {
  const place = byId("about-view");
  const index = await aboutIndex();
  place.replaceChildren(make("h1", { class: "about-title" }, isolated(index.name ?? "This index")), make("p", { class: "muted" }, "Loading"));
  const [labels, sick, map, model] = await Promise.all([labelCounts(), orMessage(health()), orMessage(centers()), orMessage(modelCard())]);
  const isSick = !(sick instanceof Error);
  place.replaceChildren(
    make("h1", { class: "about-title" }, isolated(index.name ?? "This index")),
    figures(index, labels, isSick ? sick : null),
    make("div", { class: "about-parts" }, isSick ? healthPart(sick) : section("about-health", "Health of the codes", without(sick, "Not known")),
    section("about-map", "Map of the classes", map instanceof Error ? without(map, "There is no map") : classMap(map)),
    section("about-model", "The model", ...(model instanceof Error ? [without(model, "No model is at hand")] : modelPart(model))),
    section("about-index", "The index", ...listing(index))),
  );
}
