// The dialogs: keyboard help, comparing two pictures, and the token.

import { keepToken } from "./api.js";
import { differing, differingWords, strip } from "./bits.js";
import { byId, counted, icon, isolated, make } from "./dom.js";
import { keptPicture, largePicture, pictureBox } from "./pictures.js";
import { KEYS, keysOn, setKeys } from "./keyboard.js";

function open(id, title, ...parts) {
  const dialog = byId(id);
  const close = make("button", { type: "button", class: "quiet square", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  dialog.replaceChildren(make("div", { class: "dialog-head" }, make("h2", { id: dialog.getAttribute("aria-labelledby") }, title), close), ...parts);
  dialog.onclick = ({ target }) => {
    if (target === dialog) dialog.close(); // A click beside it.
  };
  if (!dialog.open) dialog.showModal();
  return dialog;
}

/** Say which keys do what. */
export function showHelp() {
  const rows = KEYS.map(([keys, words]) =>
    make("div", {}, make("dt", {}, keys.map((key) => make("kbd", {}, key))), make("dd", {}, words)));
  const box = make("input", { type: "checkbox" });
  box.checked = keysOn();
  box.addEventListener("change", () => setKeys(box.checked));
  open("help-dialog", "Keyboard", make("dl", { class: "keys" }, ...rows),
    make("label", { class: "check" }, box, make("span", {}, "Single keys do this (turn off if they get in the way)")),
    make("p", { class: "muted" }, "Distances are counted in bits: how many bits of two codes differ. The fewer, the more alike the images."));
}

function side({ picture, title, labels, path, code, reference, nBits }) {
  return make("div", { class: "compare-side" }, picture, make("h3", {}, isolated(title)),
    make("p", { class: "labels" }, labels.length ? labels.map((label) => isolated(label, { class: "label" })) : make("span", { class: "muted" }, "no label")),
    path ? make("p", { class: "path" }, isolated(path)) : null,
    strip(code, nBits, reference), make("p", { class: "code" }, make("code", {}, code)));
}

function sideOf(item, reference, nBits) {
  const picture = largePicture(item);
  return side({ ...item, picture, title: `Image ${item.id}`, reference, nBits });
}

function querySide(query, reference, nBits) {
  const { code } = query;
  const kept = keptPicture(query);
  const picture = kept ? pictureBox(kept.url, "The picture that was searched by", { eager: true }) : make("span", { class: "box absent" });
  return side({ picture, title: kept?.name ?? "The query", labels: [], code, reference, nBits });
}

/** Show two pictures side by side: two items, or the query and one item. */
export function showComparison(items, { query, item, nBits }) {
  const [first, second] = items.length === 2 ? items : [item ?? null, items[0]];
  const codes = [first?.code ?? query.code, second.code];
  const left = first ? sideOf(first, codes[1], nBits) : querySide(query, codes[1], nBits);
  const places = differing(codes[0], codes[1], nBits);
  open("compare-dialog", `${counted(places.length, "bit")} apart`,
    make("p", { class: "muted" }, `${differingWords(places, nBits)}.`),
    make("div", { class: "compare-sides" }, left, sideOf(second, codes[0], nBits)));
}

/** Ask for the token of the server, and keep it for this session; then call `next`. */
export function askToken(next, refused) {
  const field = make("input", { type: "password", id: "token-field", autocomplete: "off", required: true, spellcheck: "false" });
  const form = make("form", { method: "dialog" },
    make("p", {}, "Whoever runs this server has it. It stays in this tab and is forgotten when the tab closes."),
    refused && make("p", { class: "wrong", role: "alert" }, "The server did not accept that token."),
    make("label", { for: "token-field" }, "Token"), field,
    make("p", { class: "actions" }, make("button", { class: "strong" }, "Go on")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keepToken(field.value.trim());
    byId("token-dialog").close();
    next();
  });
  open("token-dialog", "This server asks for a token", form);
  field.focus();
}
