// Pictures from outside: dropped, pasted, picked, or from a camera.

import { byId, shows } from "./dom.js";

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

function followDrags(take) {
  const veil = byId("veil");
  let depth = 0;
  const cover = (on) => (veil.hidden = !on);
  window.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth += 1;
    cover(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    cover(depth > 0);
  });
  window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    cover(false);
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

function followPastes(take) {
  window.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    const file = files.find(({ type }) => type.startsWith("image/")) ?? files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}

function followInput(input, take) {
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = ""; // The same file can be picked again.
    if (file) take(file);
  });
}

/** Call `take(file)` for each picture that someone brings. */
export function followUploads(take) {
  followDrags(take);
  followPastes(take);
  followInput(byId("file"), take);
  followInput(byId("shot"), take);
  byId("choose").addEventListener("click", () => byId("file").click());
  byId("camera").addEventListener("click", () => byId("shot").click());
  byId("camera").hidden = !shows("(pointer: coarse)");
}
