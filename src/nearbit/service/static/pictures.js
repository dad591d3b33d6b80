// Pictures of items, and pictures that someone searched by.

import { originalUrl, request, thumbnailUrl, token } from "./api.js";
import { make } from "./dom.js";

const SMALL = 64;
const KEPT = "nearbit-picture-";
const KEPT_SIDE = 320;

function settle(image) {
  image.classList.toggle("pixels", image.naturalWidth > 0 && image.naturalWidth <= SMALL);
  image.parentElement?.classList.add("loaded");
}

function fail(image) {
  image.hidden = true;
  image.parentElement?.classList.add("absent");
}

async function fetchInto(image, url) {
  try {
    image.src = URL.createObjectURL(await (await request(url)).blob());
  } catch {
    fail(image); // No picture is shown as "no picture".
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    fetchInto(target, target.dataset.url);
  }
}, { rootMargin: "400px" });

/** Make a box of fixed shape with a picture in it, loaded when it comes near the window. */
export function pictureBox(url, description, { eager = false, onfail = fail } = {}) {
  const image = make("img", { alt: description, decoding: "async", loading: eager ? "eager" : "lazy", draggable: "false" });
  image.addEventListener("load", () => settle(image));
  image.addEventListener("error", () => onfail(image));
  if (!url) return make("span", { class: "box absent" });
  if (token() && !url.startsWith("blob:")) {
    // A picture of a server that wants a token is fetched with it: the address alone would be refused.
    image.dataset.url = url;
    seen.observe(image);
  } else image.src = url;
  return make("span", { class: "box" }, image);
}

/** Say what the picture of an item is, for people who do not see it. */
function described(item) {
  const labels = item.labels.length ? item.labels.join(", ") : "no label";
  return `Image ${item.id}: ${labels}`;
}

/** Make the box of an item's thumbnail. */
export function thumbnail(item, options) {
  const box = pictureBox(thumbnailUrl(item), described(item), options);
  box.classList.toggle("gone", item.missing === true);
  return box;
}

/** Make the box of an item's original; its thumbnail where the browser cannot show that. */
export function largePicture(item) {
  if (!item.has_original) return thumbnail(item, { eager: true });
  const onfail = (image) => {
    if (image.src.endsWith("/original")) image.src = thumbnailUrl(item);
    else fail(image);
  };
  return pictureBox(originalUrl(item), described(item), { eager: true, onfail });
}

/** Save an item's original as a file. */
export async function download(item) {
  const blob = await (await request(originalUrl(item))).blob();
  saveBlob(blob, fileName(item.path) ?? `image-${item.id}`);
}

export const fileName = (path) => path?.split(/[\\/]/).pop() || null;

/** Hand a file to the browser's downloads. */
export function saveBlob(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const mine = new Map();

const TINY = [[96, 0.6], [96, 0.3], [64, 0.3]];
const TINY_LETTERS = 2400;
const TYPES = { w: "image/webp", j: "image/jpeg" };

/** Draw a picture so small that an address can hold it; null where none is small enough. */
function tiny(bitmap) {
  for (const [side, quality] of TINY) {
    const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
    const canvas = make("canvas", { width: Math.max(1, bitmap.width * scale), height: Math.max(1, bitmap.height * scale) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const webp = canvas.toDataURL("image/webp", quality);
    const data = webp.startsWith("data:image/webp") ? webp : canvas.toDataURL("image/jpeg", quality);
    const text = data.slice(data.indexOf(",") + 1).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    if (text.length <= TINY_LETTERS) return data[11] + text;
  }
  return null;
}

const blobOf = (base64, type) => new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type });

/** Return the picture that an address holds; null where it holds none. */
function pictureOf(text) {
  try {
    return { url: URL.createObjectURL(blobOf(text.slice(1).replaceAll("-", "+").replaceAll("_", "/"), TYPES[text[0]])), name: "A picture" };
  } catch {
    return null; // What a link was cut to is no picture.
  }
}

/** What a picture is kept under: its code, and how it looks, for other pictures have the same code. */
const keyOf = (code, picture) => (picture ? `${code} ${picture}` : code);

/** Keep the picture that was searched by: in full for this visit, small for this session; return it as an address holds it. */
export async function keepPicture(code, file) {
  const own = { url: URL.createObjectURL(file), name: file.name || "pasted image" };
  try {
    const bitmap = await createImageBitmap(file);
    const text = tiny(bitmap);
    mine.set(keyOf(code, text), own);
    const scale = Math.min(1, KEPT_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = make("canvas", { width: Math.max(1, bitmap.width * scale), height: Math.max(1, bitmap.height * scale) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const picture = { name: own.name, data: canvas.toDataURL("image/jpeg", 0.85) };
    sessionStorage.setItem(KEPT + keyOf(code, text), JSON.stringify(picture));
    return text;
  } catch (problem) {
    // A format that only the server reads, or a full store: the picture lasts until the page is loaded again.
    console.info("not kept for this session:", problem);
    mine.set(code, own);
    return null;
  }
}

/** Return url and name of the picture that was searched by, or that its link holds; null where there is none. */
export function keptPicture({ code, picture }) {
  const key = keyOf(code, picture);
  if (mine.has(key)) return mine.get(key);
  const kept = sessionStorage.getItem(KEPT + key);
  if (!kept && !picture) return null;
  if (kept) {
    const { name, data } = JSON.parse(kept);
    mine.set(key, { url: URL.createObjectURL(blobOf(data.slice(data.indexOf(",") + 1), "image/jpeg")), name });
  } else mine.set(key, pictureOf(picture));
  return mine.get(key);
}
