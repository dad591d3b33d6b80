// A region of a picture, chosen by pointer or keys, to be searched by alone.

import { originalUrl, request, thumbnailUrl } from "./api.js";
import { byId, icon, make } from "./dom.js";
import { fileName, keptPicture } from "./pictures.js";

const LEAST = 0.06;
const STEP = 0.03;
const [LARGEST, MAGNIFIED] = [820, 6];
const FIRST = { left: 0.2, top: 0.2, width: 0.6, height: 0.6 };
const CORNERS = [["nw", 0, 0], ["ne", 1, 0], ["sw", 0, 1], ["se", 1, 1]];

let region = { ...FIRST };
let frame = null;

const within = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = (share) => `${Math.round(100 * share)} %`;

function place(next) {
  const width = within(next.width, LEAST, 1);
  const height = within(next.height, LEAST, 1);
  region = { width, height, left: within(next.left, 0, 1 - width), top: within(next.top, 0, 1 - height) };
  Object.assign(frame.style, { left: `${100 * region.left}%`, top: `${100 * region.top}%`, width: `${100 * width}%`, height: `${100 * height}%` });
  frame.setAttribute("aria-valuenow", Math.round(100 * width * height));
  frame.setAttribute("aria-valuetext", `${percent(width)} wide and ${percent(height)} high, ${percent(region.left)} from the left and ${percent(region.top)} from the top`);
}

/** Return the region between two corners. */
const between = (one, other) => ({
  left: Math.min(one.x, other.x), top: Math.min(one.y, other.y), width: Math.abs(one.x - other.x), height: Math.abs(one.y - other.y),
});

function followPointer(stage) {
  let drag = null;
  const at = (event) => {
    const { left, top, width, height } = stage.getBoundingClientRect();
    return { x: within((event.clientX - left) / width, 0, 1), y: within((event.clientY - top) / height, 0, 1) };
  };
  stage.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    const here = at(event);
    const corner = CORNERS.find(([name]) => name === event.target.dataset.corner);
    if (corner) drag = { fixed: { x: region.left + (1 - corner[1]) * region.width, y: region.top + (1 - corner[2]) * region.height } };
    else if (frame.contains(event.target)) drag = { from: here, was: { ...region } };
    else drag = { fixed: here };
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const here = at(event);
    if (drag.fixed) place(between(drag.fixed, here));
    else place({ ...drag.was, left: drag.was.left + here.x - drag.from.x, top: drag.was.top + here.y - drag.from.y });
  });
  for (const kind of ["pointerup", "pointercancel"]) stage.addEventListener(kind, () => (drag = null));
}

const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

function followArrows(event) {
  const move = MOVES[event.key];
  if (!move) return;
  event.preventDefault();
  const [across, down] = move;
  if (event.shiftKey) place({ ...region, width: region.width + across, height: region.height + down });
  else place({ ...region, left: region.left + across, top: region.top + down });
}

/** Cut the region out of a picture, as a file. */
async function cut(image, name) {
  const [width, height] = [image.naturalWidth * region.width, image.naturalHeight * region.height].map((side) => Math.max(1, Math.round(side)));
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").drawImage(image, image.naturalWidth * region.left, image.naturalHeight * region.top, width, height, 0, 0, width, height);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
  return new File([blob], `region of ${name}`, { type: "image/jpeg" });
}

async function urlOf(item) {
  const fetched = async (url) => URL.createObjectURL(await (await request(url)).blob());
  if (!item.has_original) return fetched(thumbnailUrl(item));
  const url = await fetched(originalUrl(item));
  const image = new Image();
  image.src = url;
  return image.decode().then(() => url, () => fetched(thumbnailUrl(item)));
}

/** Show a picture as large as there is room, so that the stage is just as large. */
function fit(image) {
  const scale = Math.min((window.innerWidth - 90) / image.naturalWidth, (0.58 * window.innerHeight) / image.naturalHeight, LARGEST / image.naturalWidth, MAGNIFIED);
  Object.assign(image.style, { width: `${image.naturalWidth * scale}px`, height: `${image.naturalHeight * scale}px` });
}

function show({ url, name }, take) {
  const dialog = byId("crop-dialog");
  const image = make("img", { src: url, alt: `${name}, of which a region is chosen`, draggable: "false" });
  image.addEventListener("load", () => fit(image));
  frame = make("div", { class: "region", tabindex: "0", role: "slider", "aria-label": "Region: arrows move it, with Shift they change its size", "aria-valuemin": 0, "aria-valuemax": 100 },
    ...CORNERS.map(([corner]) => make("span", { class: `corner ${corner}`, "data-corner": corner })));
  frame.addEventListener("keydown", followArrows);
  const stage = make("div", { class: "crop-stage" }, image, frame);
  const search = make("button", { type: "button", class: "strong", id: "crop-search", onclick: async () => {
    const file = await cut(image, name);
    dialog.close();
    take(file);
  } }, "Search by this region");
  const shut = make("button", { type: "button", class: "quiet square", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  dialog.replaceChildren(make("div", { class: "dialog-head" }, make("h2", { id: "crop-title" }, "Search by a region"), shut),
    make("p", { class: "muted" }, "Draw the region, or move it and its corners. With keys: arrows, and Shift with arrows for its size."),
    make("div", { class: "crop-frame" }, stage), make("p", { class: "actions" }, search));
  place({ ...FIRST });
  followPointer(stage);
  dialog.showModal();
  frame.focus();
}

/** Choose a region of an image of the index, and search by it. */
export async function cropItem(item, take) {
  show({ url: await urlOf(item), name: fileName(item.path) ?? `image ${item.id}` }, take);
}

/** Choose a region of the picture that was searched by, and search by it. */
export function cropKept(query, take) {
  show(keptPicture(query), take);
}
