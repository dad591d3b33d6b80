// The page: which view its address names, and who is asked for what.

import { aboutIndex, forget, searchFor, searchPicture, item as itemOf } from "./api.js";
import { showAbout } from "./about.js";
import { followTheme } from "./appearance.js";
import { askToken, showComparison, showHelp } from "./dialogs.js";
import { announce, byId, counted } from "./dom.js";
import { showFilters } from "./filters.js";
import { followKeys } from "./keyboard.js";
import { sayingLoading } from "./loading.js";
import { message, say, sayProblem, wrongFile } from "./messages.js";
import { keepPicture } from "./pictures.js";
import { showQuery } from "./query.js";
import { showResults, showWaiting } from "./results.js";
import { chosen, clearSelection, onCompare } from "./selection.js";
import { fitted } from "./shrink.js";
import { searchRandom, showStart } from "./start.js";
import { addressOf, followHistory, go, readQuery, readState, START } from "./state.js";
import { followUploads } from "./upload.js";

const SLOW_MS = 150;
let visit = 0;
let answer = null;
let state = readState();
let refusedToken = false;

function mark(id, isCurrent) {
  if (isCurrent) byId(id).setAttribute("aria-current", "page");
  else byId(id).removeAttribute("aria-current");
}

function view(name) {
  delete document.documentElement.dataset.begins;
  document.body.dataset.view = name;
  byId("start").hidden = name !== "start";
  byId("found").hidden = name !== "results";
  byId("search-view").hidden = name === "about";
  byId("about-view").hidden = name !== "about";
  mark("to-about", name === "about");
  mark("to-search", name !== "about");
  byId("to-search").setAttribute("href", addressOf({ ...state, view: "search" }));
  byId("to-about").setAttribute("href", addressOf({ ...state, view: "about" }));
}

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

function settle(place) {
  window.scrollTo({ top: place?.top ?? 0, behavior: "instant" });
  if (place?.focus) document.querySelector(`[data-key="${CSS.escape(place.focus)}"]`)?.focus({ preventScroll: true });
}

async function showFound(mine) {
  const slow = setTimeout(() => {
    if (mine !== visit) return;
    view("results");
    showWaiting(state.k);
    announce("Searching");
  }, SLOW_MS);
  try {
    const found = await searchFor(state);
    if (mine !== visit) return;
    answer = found;
  } finally {
    clearTimeout(slow);
  }
  view("results");
  showResults(answer, state);
  await Promise.all([showQuery(state, answer), showFilters(state, answer.nBits)]);
}

async function summarize() {
  const index = await aboutIndex();
  document.title = `${index.name} · nearbit`;
  byId("code-length").textContent = index.n_bits;
  byId("summary").textContent = `${counted(index.items, "image")} · ${index.n_bits} bits`;
}

/** Show the start page below what went wrong, where the server still answers. */
async function startInstead(problem) {
  answer = null;
  view("start");
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
      view("about");
      await showAbout();
    } else if (state.query) await showFound(mine);
    else {
      answer = null;
      view("start");
      await showStart(state);
    }
    if (mine !== visit) return;
    if (place || !isSame) settle(place);
    await summarize();
  }, () => { forget(); show(next, place); }, startInstead);
}

/** Show again what was there before an upload that failed. */
function putBack() {
  if (state.view === "about") return view("about");
  if (!answer) return view("start");
  view("results");
  return showResults(answer, state);
}

async function upload(original) {
  const mine = (visit += 1);
  const { limits } = await aboutIndex();
  const file = await fitted(original, limits);
  const wrong = wrongFile(file, limits.image_bytes);
  if (wrong) return say(wrong);
  view("results");
  showWaiting(state.k);
  announce(`Searching by ${file.name || "the pasted image"}`);
  const found = await sayingLoading(() => searchPicture(file, state), () => mine === visit, state.k);
  if (mine !== visit) return;
  await keepPicture(found.query.code, file);
  go({ ...state, view: "search", query: { code: found.query.code } });
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

async function compare(items) {
  if (!answer || items.length === 0 || items.length > 2) return;
  const item = items.length === 1 && state.query?.id !== undefined ? await itemOf(state.query.id) : null;
  showComparison(items, { query: answer.query, item, nBits: answer.nBits });
}

function selectFocused() {
  document.activeElement.closest?.(".card")?.querySelector("input.pick")?.click();
}

function escape() {
  if (chosen.size > 0) clearSelection();
  else if (state.query || state.view === "about") go({ ...START, k: state.k });
}

function navigate(id, next) {
  byId(id).addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(next());
  });
}

const random = () => attempt(() => searchRandom(state), random);
function begin() {
  followTheme();
  followUploads(take);
  followKeys({
    "/": () => byId("lookup-field").focus(), "?": showHelp, u: () => byId("choose").click(), r: random,
    x: selectFocused, c: () => compare([...chosen.values()]), Escape: escape,
  });
  onCompare(compare);
  byId("random").addEventListener("click", random);
  byId("lookup").addEventListener("submit", (event) => attempt(() => lookUp(event), () => {}));
  navigate("home", () => ({ ...START, k: state.k }));
  navigate("to-search", () => ({ ...state, view: "search" }));
  navigate("to-about", () => ({ ...state, view: "about" }));
  followHistory(show);
}

begin();
