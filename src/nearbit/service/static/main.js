// The page: which view its address names, and who is asked for what.

import { aboutIndex, forget, searchFor, searchPicture, item as itemOf } from "./api.js";
import { showAbout } from "./about.js";
import { followTheme } from "./appearance.js";
import { cropItem } from "./crop.js";
import { askToken, showComparison, showHelp } from "./dialogs.js";
import { announce, byId, counted } from "./dom.js";
import { showFilters } from "./filters.js";
import { showGroups } from "./groups.js";
import { followKeys } from "./keyboard.js";
import { sayingLoading } from "./loading.js";
import { message, say, sayProblem, wrongFile } from "./messages.js";
import { keepPicture } from "./pictures.js";
import { showQuery } from "./query.js";
import { onEnlarge, showResults, showWaiting } from "./results.js";
import { chosen, clearSelection, onCompare } from "./selection.js";
import { fitted } from "./shrink.js";
import { searchRandom, showStart } from "./start.js";
import { byCode, followHistory, go, readQuery, readState, START, strangeQuery } from "./state.js";
import { followUploads } from "./upload.js";
import { likelyDistance } from "./verdict.js";
import { showViewer } from "./viewer.js";
import { followLinks, settle, view } from "./views.js";

const SLOW_MS = 150;
let visit = 0;
let answer = null;
let likely = null;
let state = readState();
let refusedToken = false;
const isGroups = ({ view: kind }) => kind === "duplicates" || kind === "clusters";

/** Do something that asks the server; say in words what goes wrong, and do `without` in its place. */
async function attempt(work, again, without = () => {}) {
  try {
    await work();
  } catch (problem) {
    if (problem.status === undefined) throw problem;
    if (problem.status === 401) {
      askToken(() => { forget(); again(); }, refusedToken);
      refusedToken = true;
      return;
    }
    await without(problem);
    sayProblem(problem, again);
  }
}

async function showFound(mine) {
  const slow = setTimeout(() => {
    if (mine !== visit) return;
    view("results", state);
    showWaiting(state.k);
    announce("Searching");
  }, SLOW_MS);
  try {
    const [found, bits] = await Promise.all([searchFor(state), likelyDistance()]);
    if (mine !== visit) return;
    [answer, likely] = [found, bits];
  } finally {
    clearTimeout(slow);
  }
  view("results", state);
  showResults(answer, state, likely);
  await Promise.all([showQuery(state, answer, take), showFilters(state, answer)]);
}

async function summarize() {
  const index = await aboutIndex();
  document.title = `${index.name} · nearbit`;
  byId("code-length").textContent = index.n_bits;
  byId("words").hidden = !index.takes_text;
  byId("headline").textContent = index.takes_text ? "Search by image or words" : "Search by image";
  byId("summary").textContent = `${counted(index.items, "image")} · ${index.n_bits} bits`;
}

/** Show the start page below what went wrong, where the server still answers. */
async function startInstead(problem) {
  answer = null;
  view("start", state);
  if (problem.status !== 0) await attempt(() => Promise.all([showStart(state), summarize()]), () => show(state));
}

async function show(next, place) {
  const mine = (visit += 1);
  const before = state;
  state = next;
  say();
  const isSame = JSON.stringify([before.view, before.query]) === JSON.stringify([next.view, next.query]);
  await attempt(async () => {
    if (state.view === "about") {
      view("about", state);
      await showAbout();
    } else if (isGroups(state)) {
      view("groups", state);
      await showGroups(state, () => mine === visit);
    } else if (state.query) await showFound(mine);
    else {
      answer = null;
      view("start", state);
      await showStart(state);
      const strange = strangeQuery();
      if (strange !== null) say(message("This address asks for nothing that can be searched", [`${strange.slice(0, 80)} is neither the id of an image nor a code in hexadecimal.`]));
    }
    if (mine !== visit) return;
    if (place || !isSame) settle(place);
    await summarize();
  }, () => { forget(); show(next, place); }, startInstead);
}

/** Show again what was there before an upload that failed. */
function putBack() {
  if (state.view === "about") return view("about", state);
  if (isGroups(state)) return view("groups", state);
  if (!answer) return view("start", state);
  view("results", state);
  return showResults(answer, state, likely);
}

async function upload(original) {
  const mine = (visit += 1);
  const { limits } = await aboutIndex();
  const file = await fitted(original, limits);
  const wrong = wrongFile(file, limits.image_bytes);
  if (wrong) return say(wrong);
  view("results", state);
  showWaiting(state.k);
  announce(`Searching by ${file.name || "the pasted image"}`);
  const found = await sayingLoading(() => searchPicture(file, state), () => mine === visit, state.k);
  if (mine !== visit) return;
  const picture = await keepPicture(found.query.code, file);
  go({ ...state, view: "search", query: byCode(found.query.code, picture) });
  byId("results-title")?.focus({ preventScroll: true });
}

function take(file) {
  document.querySelector("dialog[open]")?.close();
  say();
  return attempt(() => upload(file), () => take(file), putBack);
}

async function lookUp(event) {
  event.preventDefault();
  const index = await aboutIndex();
  const query = readQuery(byId("lookup-field").value, index.n_bits);
  if (query) return go({ ...state, view: "search", query });
  const digits = 2 * Math.ceil(index.n_bits / 8);
  return say(message("That is neither an id nor a code", [`Type the number of an image, or a code of ${digits} hexadecimal digits.`]));
}

/** Search by words: ranked by outputs, which say more of words than their bits. */
function lookFor(event) {
  event.preventDefault();
  const text = byId("words-field").value.trim();
  if (text) go({ ...state, view: "search", query: { text }, radius: null, ranking: "asymmetric" });
}

async function compare(items) {
  if (!answer || items.length === 0 || items.length > 2) return;
  const item = items.length === 1 && state.query?.id !== undefined ? await itemOf(state.query.id) : null;
  showComparison(items, { query: { ...state.query, ...answer.query }, item, nBits: answer.nBits });
}

/** Press what the card in focus has: its box, or its button. */
const press = (css) => document.activeElement.closest?.(".card")?.querySelector(css)?.click();

async function enlarge(item) {
  const { has_model: encodes } = await aboutIndex();
  const crop = encodes ? (one) => attempt(() => cropItem(one, take), () => {}) : null;
  showViewer(answer.neighbors, item, { state, code: answer.query.code, nBits: answer.nBits, crop });
}

function escape() {
  if (chosen.size > 0) clearSelection();
  else if (state.query || state.view !== "search") go({ ...START, k: state.k });
}

const random = () => attempt(() => searchRandom(state), random);
function begin() {
  followTheme();
  followUploads(take);
  followKeys({
    "/": () => byId("lookup-field").focus(), "?": showHelp, u: () => byId("choose").click(), r: random,
    v: () => press(".enlarge"), x: () => press("input.pick"), c: () => compare([...chosen.values()]), Escape: escape,
  });
  onCompare(compare);
  onEnlarge(enlarge);
  byId("random").addEventListener("click", random);
  byId("words").addEventListener("submit", lookFor);
  byId("lookup").addEventListener("submit", (event) => attempt(() => lookUp(event), () => {}));
  followLinks(() => state);
  followHistory(show);
}

begin();
