// Light, dark, or as the system says.

import { byId, icon } from "./dom.js";

const STORE = "nearbit-theme";
const ORDER = ["automatic", "light", "dark"];
const ICONS = { automatic: "auto", light: "light", dark: "dark" };

const current = () => document.documentElement.dataset.theme ?? "automatic";

function present() {
  const button = byId("theme");
  button.setAttribute("aria-label", `Theme: ${current()}`);
  button.title = `Theme: ${current()}`;
  button.replaceChildren(icon(ICONS[current()]));
}

function next() {
  const theme = ORDER[(ORDER.indexOf(current()) + 1) % ORDER.length];
  if (theme === "automatic") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem(STORE);
  } else {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(STORE, theme);
  }
  present();
}

/** Let the button change the theme. */
export function followTheme() {
  byId("theme").addEventListener("click", next);
  present();
}
