// Codes as pictures: which bits are set, and which differ from another code.

import { draw } from "./dom.js";

const PER_ROW = 64;
const ROW = 10;
const LISTED = 12;

/** Read the bits of a code in hexadecimal, first bit first. */
function bitsOf(code, nBits) {
  return Array.from({ length: nBits }, (_, at) => (parseInt(code[at >> 2], 16) >> (3 - (at & 3))) & 1);
}

/** Return the places at which two codes differ. */
export function differing(code, other, nBits) {
  const [these, those] = [bitsOf(code, nBits), bitsOf(other, nBits)];
  return these.flatMap((bit, place) => (bit === those[place] ? [] : [place]));
}

/** Say in words which bits differ. */
export function differingWords(places, nBits) {
  if (places.length === 0) return `the same code: 0 of ${nBits} bits differ`;
  const listed = places.slice(0, LISTED).map((place) => place + 1).join(", ");
  const rest = places.length > LISTED ? ` and ${places.length - LISTED} more` : "";
  const [bits, differ] = places.length === 1 ? ["bit", "differs"] : ["bits", "differ"];
  return `${places.length} of ${nBits} bits ${differ}: ${bits} ${listed}${rest}`;
}

function cells(places, inset) {
  const height = ROW - 2 - 2 * inset;
  return places
    .map((place) => `M${place % PER_ROW + 0.1} ${Math.floor(place / PER_ROW) * ROW + 1 + inset}h.8v${height}h-.8z`)
    .join("");
}

/** Draw a code as a strip, 64 bits a row: set bits are filled; those that differ from `reference` stand out. */
export function strip(code, nBits, reference = null) {
  const rows = Math.ceil(nBits / PER_ROW);
  const width = Math.min(nBits, PER_ROW);
  const places = Array.from({ length: nBits }, (_, place) => place);
  const set = bitsOf(code, nBits);
  const odd = reference === null ? [] : differing(code, reference, nBits);
  const words = reference === null ? `Code ${code}` : differingWords(odd, nBits);
  const frame = { class: "strip", viewBox: `0 0 ${width} ${rows * ROW}`, preserveAspectRatio: "none", role: "img" };
  const svg = draw("svg", { ...frame, "aria-label": words, height: 6 + rows * 6 });
  const calm = new Set(odd);
  svg.append(draw("path", { class: "bit-off", d: cells(places.filter((at) => !set[at] && !calm.has(at)), 1.5) }));
  svg.append(draw("path", { class: "bit-on", d: cells(places.filter((at) => set[at] && !calm.has(at)), 1.5) }));
  svg.append(draw("path", { class: "bit-differs", d: cells(odd, 0) }));
  svg.append(draw("title", {}, words));
  return svg;
}
