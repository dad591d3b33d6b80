// The start page: a few images of the index to begin with.

import { aboutIndex, sample } from "./api.js";
import { byId, icon, isolated, make, shows } from "./dom.js";
import { emptyIndex, say } from "./messages.js";
import { thumbnail } from "./pictures.js";
import { searchLink } from "./results.js";
import { go } from "./state.js";

const SHOWN = 24;
const SHOWN_NARROW = 12;
let shown = null;

function tile(item, state) {
  const name = item.labels.length ? item.labels.join(", ") : `Image ${item.id}`;
  return make("li", {}, searchLink(item, state, { class: "tile", "aria-label": `Search by image ${item.id}: ${name}` },
    thumbnail(item), isolated(name, { class: "tile-name" })));
}

async function others(state) {
  shown = await sample(shows("(max-width: 600px)") ? SHOWN_NARROW : SHOWN);
  fillGrid(state);
}

function fillGrid(state) {
  byId("start").querySelector("ul").replaceChildren(...shown.map((item) => tile(item, state)));
}

/** Show the start page; the same images as before, so that "back" finds them again. */
export async function showStart(state) {
  const place = byId("start");
  if (place.childElementCount === 0) {
    const boxes = Array.from({ length: SHOWN }, () => make("li", { class: "tile" }, make("span", { class: "box" })));
    const more = make("button", { type: "button", class: "quiet", onclick: () => others(state) }, icon("random"), "Other images");
    place.replaceChildren(make("header", {}, make("h2", { id: "start-title" }, "Or start from one of these"), more),
      make("ul", { class: "tiles" }, ...boxes));
  }
  const index = await aboutIndex();
  if (index.items === 0) {
    place.hidden = true;
    say(emptyIndex(index.name));
    return;
  }
  if (shown === null) await others(state);
  else fillGrid(state);
}

/** Search by any image of the index. */
export async function searchRandom(state) {
  const [item] = await sample(1);
  if (item) go({ ...state, view: "search", query: { id: item.id } });
  else say(emptyIndex());
}
