// Items that someone selected: to compare two, or to save them as a file.

import { announce, byId, counted, icon, make } from "./dom.js";
import { saveBlob } from "./pictures.js";

/** The selected items by id, in the order they were selected. */
export const chosen = new Map();

const listeners = [];
export const onSelection = (listener) => listeners.push(listener);

const COLUMNS = ["id", "rank", "distance", "code", "labels", "path"];

function changed() {
  showBar();
  for (const listener of listeners) listener();
}

export function toggle(item, on = !chosen.has(item.id)) {
  if (on) chosen.set(item.id, item);
  else chosen.delete(item.id);
  announce(`${counted(chosen.size, "image")} selected`);
  changed();
}

export function selectAll(items) {
  for (const item of items) chosen.set(item.id, item);
  announce(`${counted(chosen.size, "image")} selected`);
  changed();
}

export function clearSelection() {
  chosen.clear();
  announce("Nothing selected");
  changed();
}

/** Write a value as a CSV cell; one that a spreadsheet would run as a formula is kept as text. */
export function csvCell(value) {
  const text = Array.isArray(value) ? value.join("|") : String(value ?? "");
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Write items as CSV with a header. */
function asCsv(items) {
  const lines = items.map((item) => COLUMNS.map((column) => csvCell(item[column])).join(","));
  return [COLUMNS.join(","), ...lines, ""].join("\r\n");
}

/** An id as the API writes it: a number where that is exact. */
const exact = (id) => (Number.isSafeInteger(Number(id)) ? Number(id) : id);

function exportAs(kind) {
  const items = [...chosen.values()];
  const row = (item) => Object.fromEntries([...COLUMNS, "metadata"].map((name) => [name, item[name] ?? null]));
  const rows = items.map((item) => ({ ...row(item), id: exact(item.id) }));
  const [text, type] = kind === "csv" ? [asCsv(items), "text/csv"] : [JSON.stringify(rows, null, 2), "application/json"];
  saveBlob(new Blob([text], { type }), `nearbit-selection.${kind}`);
  announce(`Saved ${counted(items.length, "image")} as ${kind.toUpperCase()}`);
}

let compare = () => {};
export const onCompare = (listener) => (compare = listener);

function showBar() {
  const bar = byId("selection");
  bar.hidden = chosen.size === 0;
  document.body.classList.toggle("selecting", chosen.size > 0);
  const items = [...chosen.values()];
  const words = items.length === 1 ? "Compare with the query" : "Compare";
  bar.replaceChildren(
    make("p", {}, make("b", {}, chosen.size.toLocaleString("en")), " selected"),
    make("button", { type: "button", disabled: items.length > 2, title: items.length > 2 ? "Select one or two images" : null, onclick: () => compare(items) }, words),
    make("button", { type: "button", onclick: () => exportAs("csv") }, icon("download"), "CSV"),
    make("button", { type: "button", onclick: () => exportAs("json") }, icon("download"), "JSON"),
    make("button", { type: "button", class: "quiet", onclick: clearSelection }, icon("close"), "Clear"),
  );
}
