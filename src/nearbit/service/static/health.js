// Charts of the health of codes.

import { draw, make } from "./dom.js";

const HEIGHT = 96;

/** Draw how often each bit is set: a bar up or down from one half. */
export function balanceChart(shares) {
  const middle = HEIGHT / 2;
  const bars = shares.map((share, place) => {
    const height = Math.abs(share - 0.5) * HEIGHT;
    const isConstant = share === 0 || share === 1;
    const shape = { x: place + 0.12, y: share > 0.5 ? middle - height : middle, width: 0.76, height: Math.max(height, 1) };
    return draw("rect", { ...shape, class: isConstant ? "bar constant" : "bar" }, draw("title", {}, `Bit ${place + 1} is set in ${(100 * share).toFixed(0)} % of the codes`));
  });
  const worst = shares.reduce((most, share, place) => (Math.abs(share - 0.5) > Math.abs(shares[most] - 0.5) ? place : most), 0);
  const words = `How often each of ${shares.length} bits is set. Furthest from one half: bit ${worst + 1}, set in ${(100 * shares[worst]).toFixed(0)} % of the codes.`;
  const frame = { viewBox: `0 0 ${shares.length} ${HEIGHT}`, preserveAspectRatio: "none", class: "balance", role: "img", "aria-label": words };
  return make("figure", {},
    make("div", { class: "with-scale" }, make("div", { class: "scale", "aria-hidden": "true" }, make("span", {}, "100 %"), make("span", {}, "50 %"), make("span", {}, "0 %")),
      draw("svg", frame, draw("path", { class: "axis", d: `M0 ${middle}H${shares.length}` }), ...bars)),
    make("figcaption", {}, "How often each bit is set, first bit first. A bit that is set in half of the codes tells most."));
}
