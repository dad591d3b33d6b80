// The HTTP API: one function for each request that the page makes, one error for whatever goes wrong.

const BASE = new URL("api/v1/", document.baseURI);
const TOKEN = "nearbit-token";
const ANSWERS_KEPT = 60;
const PICTURES_KEPT = 8;
const FRESH_MS = 60_000;

/** What went wrong: `status` 0 where no server answered; `code`, `message` and `hint` as the server says them. */
class ServiceError extends Error {
  constructor(status, { code = "unknown", message = "", hint = "" } = {}, retryAfter = null) {
    super(message);
    Object.assign(this, { status, code, hint, retryAfter });
  }
}

export const token = () => sessionStorage.getItem(TOKEN);
export const keepToken = (text) => sessionStorage.setItem(TOKEN, text);
const urlOf = (path) => new URL(path, BASE).href;
export const thumbnailUrl = (item) => item.thumbnail && urlOf(item.thumbnail.replace(/^\/api\/v1\//, ""));
export const originalUrl = (item) => urlOf(`items/${item.id}/original`);

/** Request what lies under a URL; raises ServiceError unless the answer is a good one. */
export async function request(url, options = {}) {
  const headers = new Headers(options.headers);
  if (token()) headers.set("Authorization", `Bearer ${token()}`);
  let response;
  try {
    response = await fetch(url, { ...options, headers });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ServiceError(0, { code: "unreachable" });
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new ServiceError(response.status, body.error, Number(response.headers.get("Retry-After")) || null);
}

/** Give things their id as text: a number beyond 2^53 would come rounded, and be that of another image. */
const withTextIds = (key, value) => (value?.id_text === undefined ? value : { ...value, id: value.id_text });
const read = async (response) => JSON.parse(await response.text(), withTextIds);

async function json(path, options) {
  return read(await request(urlOf(path), options));
}

const kept = new Map();

/** Ask for what was not asked for within the last minute; what went wrong is not kept. */
function once(key, ask) {
  const known = kept.get(key);
  if (known && performance.now() - known.at < FRESH_MS) return known.answer;
  const entry = { answer: ask(), at: performance.now() };
  kept.delete(key);
  kept.set(key, entry);
  if (kept.size > ANSWERS_KEPT) kept.delete(kept.keys().next().value);
  entry.answer.catch(() => kept.get(key) === entry && kept.delete(key));
  return entry.answer;
}

const cached = (path) => once(path, () => json(path));

/** Say whether the server has loaded its index and its model. */
export const isReady = async () => (await fetch(new URL("readyz", document.baseURI))).ok;

/** Ask the server again for everything. */
export const forget = () => kept.clear();
export const aboutIndex = () => cached("index");
export const labelCounts = async () => (await cached("labels")).labels.map(({ label, items }) => ({ name: label, count: items }));
export const health = () => cached("index/health");
export const centers = () => cached("index/centers");
export const modelCard = () => cached("model");
export const duplicates = (radius, first = 0) => cached(`duplicates?radius=${radius}&first=${first}`);
export const clusters = (number) => cached(number === null ? "clusters" : `clusters?number=${number}`);
export const item = (id) => cached(`items/${id}`);
export const sample = async (n) => (await json(`items/sample?n=${n}&seed=${Math.floor(Math.random() * 2 ** 31)}`)).items;

function timed(answer, response, started) {
  const total = /total;[^,]*dur=([\d.]+)/.exec(response.headers.get("Server-Timing") ?? "");
  const parts = answer.timings_ms;
  const sum = Object.values(parts).reduce((left, right) => left + right, 0);
  const whole = total ? Number(total[1]) : sum;
  const timings = { ...parts, other: Math.max(0, whole - sum), total: whole, page: performance.now() - started };
  return { ...answer.results[0], nBits: answer.n_bits, timings };
}

async function search(path, options) {
  const started = performance.now();
  const response = await request(urlOf(path), options);
  return timed(await read(response), response, started);
}

/** The request for a search by id or code: its path, and what goes with it. */
function asked({ query, k, radius, labels, ranking }) {
  if (query.id !== undefined || query.text !== undefined) {
    const fields = new URLSearchParams({ k });
    if (query.text !== undefined) fields.set("text", query.text);
    if (radius !== null) fields.set("radius", radius);
    for (const label of labels) fields.append("label", label);
    if (ranking !== "hamming" || query.text !== undefined) fields.set("ranking", ranking);
    return [`${query.text === undefined ? `items/${query.id}/neighbors` : "search/text"}?${fields}`];
  }
  const limits = { ...(radius !== null && { radius }), ...(labels.length && { labels }), ...(ranking !== "hamming" && { ranking }) };
  const body = JSON.stringify({ queries: [{ code: query.code }], k, ...limits });
  return ["search", { method: "POST", body, headers: { "Content-Type": "application/json" } }];
}

/** The pictures that were searched by, by their codes: to rank by outputs needs them again. */
const pictures = new Map();

/** Say whether a query has outputs to rank by: words, a picture, or an image of an index that keeps them. */
export async function hasOutputs(query) {
  if (query.text !== undefined) return true;
  return query.id === undefined ? pictures.has(query.code) : (await aboutIndex()).outputs !== null;
}

/** Search by the id of an item or by a code, what the address of the page holds; by distance where outputs are missing. */
export async function searchFor(state) {
  const isRanked = state.ranking !== "hamming" && (await hasOutputs(state.query));
  const wanted = isRanked ? state : { ...state, ranking: "hamming" };
  const picture = isRanked ? pictures.get(state.query.code) : undefined;
  const [path, options] = asked(wanted);
  return once(options?.body ?? path, () => (picture ? send(picture, wanted) : search(path, options)));
}

function send(file, state) {
  const form = new FormData();
  form.append("image", file, file.name || "pasted");
  form.append("k", state.k);
  if (state.radius !== null) form.append("radius", state.radius);
  for (const label of state.labels) form.append("label", label);
  if (state.ranking !== "hamming") form.append("ranking", state.ranking);
  return search("search/image", { method: "POST", body: form });
}

/** Search by a picture; `state` with its code as the query has this answer then. */
export async function searchPicture(file, state) {
  const answer = await send(file, state);
  pictures.delete(answer.query.code);
  pictures.set(answer.query.code, file);
  if (pictures.size > PICTURES_KEPT) pictures.delete(pictures.keys().next().value);
  const [, { body }] = asked({ ...state, query: { code: answer.query.code } });
  kept.delete(body);
  once(body, async () => answer);
  return answer;
}
