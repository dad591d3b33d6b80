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

/** Keep the picture that was searched by under its code: in full for this visit, small for this session. */
export async function keepPicture(code, file) {
  mine.set(code, { url: URL.createObjectURL(file), name: file.name || "pasted image" });
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, KEPT_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = make("canvas", { width: Math.max(1, bitmap.width * scale), height: Math.max(1, bitmap.height * scale) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const picture = { name: file.name || "pasted image", data: canvas.toDataURL("image/jpeg", 0.85) };
    sessionStorage.setItem(KEPT + code, JSON.stringify(picture));
  } catch (problem) {
    // A format that only the server reads, or a full store: the picture lasts until the page is loaded again.
    console.info("not kept for this session:", problem);
  }
}

/** Return url and name of the picture that was searched by under this code; null where there was none. */
export function keptPicture(code) {
  if (mine.has(code)) return mine.get(code);
  const kept = sessionStorage.getItem(KEPT + code);
  if (!kept) return null;
  const { name, data } = JSON.parse(kept);
  const bytes = Uint8Array.from(atob(data.slice(data.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  mine.set(code, { url: URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })), name });
  return mine.get(code);
}
