// The map of class centers: classes with similar codes lie near each other. It can be zoomed, and shows more names then.

import { differing } from "./bits.js";
import { counted, draw, icon, isolated, make } from "./dom.js";
import { addressOf, go, START } from "./state.js";

const SIDE = 640;
const EDGE = 46;
const LETTER = 6.6;
const FEW = 40;
const SMALLEST = 2.4;
const MOST = 24;
const STEP = 1.6;
const REACH = 26;

const span = (values) => [Math.min(...values), Math.max(...values)];

/** Place classes in the square: dots as large as they have images, smaller where there are many. */
function placed(classes) {
  const [left, right] = span(classes.map(({ x }) => x));
  const [low, high] = span(classes.map(({ y }) => y));
  const scale = (SIDE - 2 * EDGE) / (Math.max(right - left, high - low) || 1);
  const most = Math.max(...classes.map(({ count }) => count), 1);
  const share = Math.min(1, Math.sqrt(FEW / classes.length));
  return classes.map((one) => ({
    ...one,
    x: SIDE / 2 + (one.x - (left + right) / 2) * scale,
    y: SIDE / 2 - (one.y - (low + high) / 2) * scale,
    radius: Math.max(SMALLEST, share * (4 + 9 * Math.sqrt(one.count / most))),
  }));
}

/** Choose the names that fit where the dots are now: those asked for, then the classes with most images; none over another. */
function namesThatFit(dots, unit) {
  const isIn = ({ left, top }) => left >= 0 && left <= SIDE && top >= 0 && top <= SIDE;
  const seen = dots.filter(isIn);
  const taken = seen.map(({ left, top, radius }) => ({ left: left - radius, right: left + radius, top: top - radius, bottom: top + radius }));
  const fits = new Set();
  for (const dot of [...seen].sort((one, other) => other.call - one.call || other.count - one.count)) {
    const width = dot.name.length * LETTER * unit;
    const box = { left: dot.left - width / 2, right: dot.left + width / 2, top: dot.top - dot.radius - 5 - 12 * unit, bottom: dot.top - dot.radius - 2 };
    const isFree = taken.every((other) => box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom);
    if (!isFree || box.left < 0 || box.right > SIDE) continue;
    taken.push(box);
    fits.add(dot);
  }
  return fits;
}

const searchBy = ({ code }) => ({ ...START, query: { code } });

function follow(link, next) {
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(next);
  });
  return link;
}

function table(classes) {
  const head = make("tr", {}, make("th", { scope: "col" }, "Class"), make("th", { scope: "col" }, "Images"));
  const link = (one) => follow(make("a", { href: addressOf(searchBy(one)) }, isolated(one.name)), searchBy(one));
  const rows = classes.map((one) => make("tr", {}, make("td", {}, link(one)), make("td", {}, one.count.toLocaleString("en"))));
  return make("details", {}, make("summary", {}, "The classes as a table"),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of the classes" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
}

/** Say of a class how many images it has, and which class is nearest to it. */
function told(dot, dots, nBits) {
  const others = dots.filter((other) => other !== dot).map((other) => ({ other, bits: differing(dot.code, other.code, nBits).length }));
  const nearest = others.reduce((best, one) => (best === null || one.bits < best.bits ? one : best), null);
  return [make("b", {}, isolated(dot.name)), `: ${counted(dot.count, "image")}`, ...(nearest ? [". Nearest: ", isolated(nearest.other.name), `, ${counted(nearest.bits, "bit")}`] : [])];
}

function drawn(dots) {
  for (const dot of dots) {
    dot.text = draw("text", { direction: "ltr", "text-anchor": "middle" }, dot.name);
    dot.circle = draw("circle", { r: dot.radius }, draw("title", {}, `${dot.name}: ${counted(dot.count, "image")}`));
    dot.group = draw("g", { class: "dot-group" }, dot.circle, dot.text);
  }
  return dots.map(({ group }) => group);
}

/** Let the map be zoomed and dragged, and searched; returns what its buttons and its field do. */
function followMap(svg, dots, say) {
  const view = { zoom: 1, x: SIDE / 2, y: SIDE / 2 };
  let words = "";
  let called = null;
  function render() {
    for (const dot of dots) {
      dot.left = SIDE / 2 + (dot.x - view.x) * view.zoom;
      dot.top = SIDE / 2 + (dot.y - view.y) * view.zoom;
      dot.isMatch = words !== "" && dot.name.toLowerCase().includes(words);
      dot.call = Number(dot.isMatch) + Number(dot === called);
    }
    // On a narrow screen the map is drawn smaller, and its names are not.
    const unit = Math.max(1, SIDE / (svg.clientWidth || SIDE));
    svg.style.fontSize = `${12 * unit}px`;
    const named = namesThatFit(dots, unit);
    for (const dot of dots) {
      dot.group.setAttribute("transform", `translate(${dot.left.toFixed(1)} ${dot.top.toFixed(1)})`);
      dot.text.setAttribute("y", -dot.radius - 5);
      dot.group.setAttribute("class", ["dot-group", named.has(dot) && "named", dot.isMatch && "match", words !== "" && !dot.isMatch && "dim"].filter(Boolean).join(" "));
    }
  }
  const at = (event) => {
    const { left, top, width } = svg.getBoundingClientRect();
    return { left: ((event.clientX - left) * SIDE) / width, top: ((event.clientY - top) * SIDE) / width };
  };
  function by(factor, { left, top } = { left: SIDE / 2, top: SIDE / 2 }) {
    const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST);
    view.x += (left - SIDE / 2) * (1 / view.zoom - 1 / zoom);
    view.y += (top - SIDE / 2) * (1 / view.zoom - 1 / zoom);
    view.zoom = zoom;
    if (zoom === 1) [view.x, view.y] = [SIDE / 2, SIDE / 2];
    render();
  }
  const nearest = (event) => {
    const here = at(event);
    const gap = (dot) => Math.hypot(dot.left - here.left, dot.top - here.top) - dot.radius;
    const best = dots.reduce((one, other) => (gap(other) < gap(one) ? other : one));
    return gap(best) <= REACH ? best : null;
  };
  let [drag, near] = [null, null];
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && view.zoom === 1 && event.deltaY > 0) return; // The page scrolls on.
    event.preventDefault();
    by(Math.exp(-event.deltaY / 300), at(event));
  }, { passive: false });
  svg.addEventListener("pointerdown", (event) => (drag = { x: event.clientX, y: event.clientY, moved: false }));
  svg.addEventListener("pointermove", (event) => {
    if (drag && view.zoom > 1 && event.buttons) {
      const scale = SIDE / svg.getBoundingClientRect().width / view.zoom;
      view.x -= event.movementX * scale;
      view.y -= event.movementY * scale;
      drag.moved ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4;
      return render();
    }
    near?.group.classList.remove("near");
    near = nearest(event);
    near?.group.classList.add("near");
    return near && say(near);
  });
  svg.addEventListener("click", (event) => {
    const dot = drag?.moved ? null : nearest(event);
    if (dot) go(searchBy(dot));
  });
  function find(text) {
    words = text.trim().toLowerCase();
    render();
    const matches = dots.filter(({ isMatch }) => isMatch);
    if (matches.length > 0) say(matches[0], matches.length);
  }
  function show() {
    const [dot] = dots.filter(({ isMatch }) => isMatch);
    if (!dot) return;
    called = dot;
    Object.assign(view, { zoom: Math.max(view.zoom, 6), x: dot.x, y: dot.y });
    render();
  }
  new ResizeObserver(render).observe(svg);
  return { by, find, show };
}

/** Draw the map, with its classes as a table below. */
export function classMap({ centers, explained, distance_min: nearest, n_bits: nBits }) {
  const classes = centers.map(({ items, ...one }) => ({ ...one, count: items }));
  const dots = placed(classes);
  const apart = nearest === null ? "" : ` The nearest two are ${counted(nearest, "bit")} apart.`;
  const words = `Map of ${counted(classes.length, "class", "classes")}; the table below lists them.`;
  const svg = draw("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, class: "class-map", role: "img", "aria-label": words }, ...drawn(dots));
  const note = make("p", { class: "map-note" }, "Point at a dot to know its class, click to search from its center.");
  const say = (dot, matches = 1) => note.replaceChildren(...told(dot, dots, nBits), ...(matches > 1 ? [` (${matches} classes match)`] : []));
  const map = followMap(svg, dots, say);
  const field = make("input", { type: "search", id: "map-find", placeholder: "Find a class", autocomplete: "off", spellcheck: "false", oninput: () => map.find(field.value) });
  field.addEventListener("keydown", (event) => event.key === "Enter" && map.show());
  const button = (name, label, factor) => make("button", { type: "button", class: "square", "aria-label": label, title: label, onclick: () => map.by(factor) }, icon(name));
  return make("div", {},
    make("p", { class: "muted" }, `Each dot is the center of a class, as large as it has images. The plane shows ${(100 * explained).toFixed(0)} % of how the centers lie to each other.${apart}`),
    make("div", { class: "map-tools" }, make("label", { class: "hidden", for: "map-find" }, "Find a class"), field, button("minus", "Zoom out", 1 / STEP), button("plus", "Zoom in", STEP)),
    svg, note, table(classes));
}
