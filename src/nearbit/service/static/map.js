// The map of class centers: classes with similar codes lie near each other.

import { draw, isolated, make } from "./dom.js";

const SIDE = 640;
const EDGE = 46;
const LETTER = 6.6;

const span = (values) => [Math.min(...values), Math.max(...values)];

function placed(classes) {
  const [left, right] = span(classes.map(({ x }) => x));
  const [low, high] = span(classes.map(({ y }) => y));
  const scale = (SIDE - 2 * EDGE) / (Math.max(right - left, high - low) || 1);
  const most = Math.max(...classes.map(({ count }) => count), 1);
  return classes.map((one) => ({
    ...one,
    left: SIDE / 2 + (one.x - (left + right) / 2) * scale,
    top: SIDE / 2 - (one.y - (low + high) / 2) * scale,
    radius: 4 + 9 * Math.sqrt(one.count / most),
  }));
}

/** Choose the names that fit: the classes with most images first, none over another. */
function namesThatFit(dots) {
  const discs = dots.map(({ left, top, radius }) => ({ left: left - radius, right: left + radius, top: top - radius, bottom: top + radius }));
  const taken = [...discs];
  const fits = new Set();
  for (const dot of [...dots].sort((one, other) => other.count - one.count)) {
    const width = dot.name.length * LETTER;
    const box = { left: dot.left - width / 2, right: dot.left + width / 2, top: dot.top - dot.radius - 17, bottom: dot.top - dot.radius - 2 };
    const isFree = taken.every((other) => box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom);
    if (!isFree || box.left < 0 || box.right > SIDE) continue;
    taken.push(box);
    fits.add(dot);
  }
  return fits;
}

function dotOf(dot, isNamed) {
  const words = `${dot.name}: ${dot.count} images`;
  const anchor = dot.left < 120 ? "start" : dot.left > SIDE - 120 ? "end" : "middle";
  return draw("g", { class: isNamed ? "dot-group named" : "dot-group" },
    draw("circle", { cx: dot.left, cy: dot.top, r: dot.radius }, draw("title", {}, words)),
    draw("text", { x: dot.left, y: dot.top - dot.radius - 5, "text-anchor": isNamed ? "middle" : anchor, direction: "ltr" }, dot.name));
}

function table(classes) {
  const head = make("tr", {}, make("th", { scope: "col" }, "Class"), make("th", { scope: "col" }, "Images"));
  const rows = classes.map(({ name, count }) => make("tr", {}, make("td", {}, isolated(name)), make("td", {}, count.toLocaleString("en"))));
  return make("details", {}, make("summary", {}, "The classes as a table"),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of the classes" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
}

/** Draw the map, with its classes as a table below. */
export function classMap({ centers, explained, distance_min: nearest }) {
  const classes = centers.map(({ items, ...one }) => ({ ...one, count: items }));
  const dots = placed(classes);
  const named = namesThatFit(dots);
  const apart = nearest === null ? "" : ` The nearest two are ${nearest} bits apart.`;
  const words = `Map of ${classes.length} classes; the table below lists them.`;
  const order = [...dots].sort((one, other) => named.has(other) - named.has(one));
  return make("div", {},
    make("p", { class: "muted" }, `Each dot is the center of a class, as large as it has images. The plane shows ${(100 * explained).toFixed(0)} % of how the centers lie to each other.${apart}`),
    draw("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, class: "class-map", role: "img", "aria-label": words }, ...order.map((dot) => dotOf(dot, named.has(dot)))),
    table(classes));
}
