// What went wrong or is not there, in words that say what to do.

import { byId, icon, make, megabytes } from "./dom.js";
import { go, START } from "./state.js";

const TITLES = {
  unreachable: ["The server does not answer", "It may have been stopped. Start it again with nearbit serve, then try again."],
  forbidden: ["The server refuses this", "It serves only pages that it sent itself."],
  unknown_host: ["The server refuses this address", "Open the page under the address that nearbit serve printed."],
  not_found: ["There is no such image in this index", "It may have been removed. Search by another one."],
  too_slow: ["That took too long", "Try again, or take a smaller image."],
  conflict: ["This index cannot be searched by a picture", "Search by an image that is in the index."],
  model_unavailable: ["This index cannot be searched by a picture", "Search by an image that is in the index."],
  no_model: ["This index cannot be searched by a picture", "Search by an image that is in the index."],
  no_text: ["This index cannot be searched by words", "Search by an image."],
  too_large: ["That image is too large", "Save it smaller, or as JPEG."],
  not_an_image: ["That is not an image that can be read", "Take a JPEG, PNG, WebP, GIF, BMP or TIFF file."],
  unknown_label: ["No image has that label", "Choose another one, or go to the start."],
  invalid: ["The server cannot search for this", "Change the filters, or start anew."],
  busy: ["The server is busy", "Try again in a moment."],
  index_unavailable: ["The index cannot be read now", "Try again in a moment."],
};
const WORTH_ANOTHER_TRY = new Set(["unreachable", "busy", "index_unavailable", "too_slow", "internal_error", "unknown"]);

/** Make a message: what it is about, in a sentence what to do, and buttons. */
export function message(title, sentences, { actions = [], kind = "problem" } = {}) {
  const words = sentences.filter(Boolean).map((sentence) => make("p", {}, sentence));
  return make("div", { class: `message ${kind}`, role: kind === "problem" ? "alert" : null },
    icon(kind === "problem" ? "alert" : "image"),
    make("div", {}, make("h2", {}, title), ...words, actions.length > 0 && make("p", { class: "actions" }, ...actions)));
}

/** Show a message above everything else; without one, show none. */
export function say(what = null) {
  byId("message").replaceChildren(...(what ? [what] : []));
}

/** Make a sentence of words: a capital letter, a full stop. */
export const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1).replace(/[.\s]+$/, "")}.`;

/** Say what went wrong with a request; `again` tries once more. */
export function sayProblem(problem, again) {
  const known = TITLES[problem.code];
  const [title, advice] = known ?? ["The server could not answer", problem.hint || "Try again; its log says what went wrong."];
  const sentences = [problem.message, advice].filter(Boolean).map(sentence);
  const retry = make("button", { type: "button", class: "strong", onclick: again }, "Try again");
  const anew = make("button", { type: "button", onclick: () => go(START) }, "Go to the start");
  const actions = again && WORTH_ANOTHER_TRY.has(problem.code) ? [retry] : ["invalid", "unknown_label"].includes(problem.code) ? [anew] : [];
  say(message(title, sentences, { actions }));
  byId("message").scrollIntoView({ block: "nearest" });
}

/** Say what is wrong with a file before it is sent; null where nothing is. */
export function wrongFile(file, largest) {
  const name = file.name || "What was pasted";
  if (file.type && !file.type.startsWith("image/")) {
    return message(`${name} is not an image`, [`It is ${file.type}. Take a JPEG, PNG, WebP, GIF, BMP or TIFF file.`]);
  }
  if (file.type === "image/svg+xml") {
    return message(`${name} is a drawing`, ["SVG files are not read. Save it as PNG first."]);
  }
  if (file.size > largest) {
    const words = `${name}: ${megabytes(file.size)} > ${megabytes(largest)}, and this browser cannot make it smaller. Save it smaller, or as JPEG.`;
    return message("That image is too large", [words]);
  }
  return file.size === 0 ? message(`${name} is empty`, ["It holds no bytes. Take another one."]) : null;
}

/** Say that a search found nothing, and take the filters away on request. */
export function nothingFound(state) {
  const filtered = state.radius !== null || state.labels.length > 0;
  const clear = () => go({ ...state, radius: null, labels: [] });
  const actions = filtered ? [make("button", { type: "button", class: "strong", onclick: clear }, "Remove the filters")] : [];
  const words = filtered ? "No image is that near with these labels." : "The index holds no image that can be found.";
  return message("Nothing found", [words], { actions, kind: "calm" });
}

/** Say that an index is empty, and how to fill it. */
export function emptyIndex(name) {
  const words = ["Put images into it: ", make("code", {}, `nearbit index add ${name ?? "NAME.index"} FOLDER --model MODEL`)];
  return message("This index is empty", [words], { kind: "calm" });
}
