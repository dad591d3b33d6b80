// What the page shows, as its address says it: so that links can be shared, and back and forward work.

const DEFAULT_K = 24;
const USUAL_WITHIN = 3;
export const LARGEST_K = 200;

/** The start page. */
export const START = { view: "search", query: null, k: DEFAULT_K, radius: null, labels: [], unique: false, ranking: "hamming", within: USUAL_WITHIN, number: null };

const VIEWS = ["search", "about", "duplicates", "clusters"];

/** A small picture in the fragment of an address, which no server is sent: w for WebP or j for JPEG, then base64url. */
const PICTURE = /^#p=([wj][\w-]{16,6000})$/;

const HEX = /^(?:[0-9a-f]{2})+$/i;

function number(text, lowest, highest) {
  if (text === null || !/^\d+$/.test(text)) return null;
  return Math.min(Math.max(Number(text), lowest), highest);
}

/** Read an id: text throughout, since numbers beyond 2^53 are rounded; null where it is none. */
function idOf(text) {
  return text !== null && /^\d{1,19}$/.test(text) ? BigInt(text).toString() : null;
}

/** Make the query of a code, with the small picture that it belongs to, where there is one. */
export const byCode = (code, picture) => ({ code: code.toLowerCase(), ...(picture && { picture }) });

/** Return what an address asks for that is neither an id nor a code; null where there is no such. */
export function strangeQuery(address = location.href) {
  const fields = new URL(address).searchParams;
  const text = fields.get("id") ?? fields.get("code");
  return text !== null && readState(address).query === null ? text : null;
}

/** Read a state out of an address; what it does not understand counts as not said. */
export function readState(address = location.href) {
  const { searchParams: fields, hash } = new URL(address);
  const id = idOf(fields.get("id"));
  const code = fields.get("code");
  const words = fields.get("text")?.trim();
  const query = id !== null ? { id } : words ? { text: words } : code && HEX.test(code) ? byCode(code, PICTURE.exec(hash)?.[1]) : null;
  return {
    view: VIEWS.includes(fields.get("view")) ? fields.get("view") : "search",
    query,
    k: number(fields.get("k"), 1, LARGEST_K) ?? DEFAULT_K,
    radius: number(fields.get("radius"), 0, Number.MAX_SAFE_INTEGER),
    labels: fields.getAll("label"),
    unique: fields.get("unique") === "1",
    ranking: fields.get("ranking") === "asymmetric" ? "asymmetric" : "hamming",
    within: number(fields.get("within"), 0, 16) ?? USUAL_WITHIN,
    number: number(fields.get("number"), 1, 200),
  };
}

/** Write a state as an address relative to the page. */
export function addressOf(state) {
  const fields = new URLSearchParams();
  if (state.view !== "search") fields.set("view", state.view);
  if (state.query?.id !== undefined) fields.set("id", state.query.id);
  if (state.query?.code !== undefined) fields.set("code", state.query.code);
  if (state.query?.text !== undefined) fields.set("text", state.query.text);
  if (state.k !== DEFAULT_K) fields.set("k", state.k);
  if (state.radius !== null) fields.set("radius", state.radius);
  for (const label of state.labels) fields.append("label", label);
  if (state.unique) fields.set("unique", "1");
  if (state.ranking !== "hamming") fields.set("ranking", state.ranking);
  if (state.view === "duplicates" && state.within !== USUAL_WITHIN) fields.set("within", state.within);
  if (state.view === "clusters" && state.number !== null) fields.set("number", state.number);
  const text = fields.toString();
  const picture = state.query?.picture ? `#p=${state.query.picture}` : "";
  return `./${text && `?${text}`}${picture}`;
}

/** Read what someone typed: an id, or a code of the right length; null where it is neither. */
export function readQuery(text, nBits) {
  const words = text.trim().replace(/^#/, "");
  const digits = 2 * Math.ceil(nBits / 8);
  if (HEX.test(words) && words.length === digits) return { code: words.toLowerCase() };
  const id = idOf(words);
  return id === null ? null : { id };
}

const places = new Map();
let listener = () => {};
let current = 0;

function leave() {
  places.set(current, { top: window.scrollY, focus: document.activeElement?.dataset?.key ?? null });
}

function arrive(entry) {
  current = entry?.place ?? 0;
  listener(readState(), places.get(current) ?? null);
}

/** Show a state: a new entry in the history, or in place of the present one. */
export function go(state, { replace = false } = {}) {
  leave();
  if (replace) history.replaceState({ place: current }, "", addressOf(state));
  else {
    current = Date.now() + Math.random();
    history.pushState({ place: current }, "", addressOf(state));
  }
  listener(readState(), replace ? places.get(current) : null);
}

/** Call `show(state, place)` now and whenever the state changes; `place` is where a visit before this one stood. */
export function followHistory(show) {
  listener = show;
  history.scrollRestoration = "manual";
  history.replaceState({ place: (current = history.state?.place ?? Date.now()) }, "");
  window.addEventListener("popstate", (event) => {
    leave();
    arrive(event.state);
  });
  show(readState(), null);
}
