// Which view is seen, where it is scrolled to, and the links between views.

import { byId } from "./dom.js";
import { addressOf, go, START } from "./state.js";

const LINKS = { search: "to-search", groups: "to-groups", about: "to-about" };

/** Give the state of a view, reached from another one; what a view alone uses is kept. */
const stateOf = (name, state) => ({ ...state, view: name === "groups" ? "duplicates" : name });

/** Show one of the views "start", "results", "groups" and "about"; its links lead on from `state`. */
export function view(name, state) {
  delete document.documentElement.dataset.begins;
  document.body.dataset.view = name;
  byId("start").hidden = name !== "start";
  byId("found").hidden = name !== "results";
  byId("search-view").hidden = name === "about" || name === "groups";
  byId("about-view").hidden = name !== "about";
  byId("groups-view").hidden = name !== "groups";
  for (const [kind, id] of Object.entries(LINKS)) {
    const isCurrent = kind === name || (kind === "search" && !(name in LINKS));
    if (isCurrent) byId(id).setAttribute("aria-current", "page");
    else byId(id).removeAttribute("aria-current");
    byId(id).setAttribute("href", addressOf(stateOf(kind, state)));
  }
}

/** Scroll and put the focus to where a visit before this one stood. */
export function settle(place) {
  window.scrollTo({ top: place?.top ?? 0, behavior: "instant" });
  if (place?.focus) document.querySelector(`[data-key="${CSS.escape(place.focus)}"]`)?.focus({ preventScroll: true });
}

function navigate(id, next) {
  byId(id).addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(next());
  });
}

/** Follow the links between views; `state` gives the state that is shown. */
export function followLinks(state) {
  navigate("home", () => ({ ...START, k: state().k }));
  for (const [kind, id] of Object.entries(LINKS)) navigate(id, () => stateOf(kind, state()));
}
