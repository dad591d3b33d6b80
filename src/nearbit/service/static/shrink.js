// Pictures that are larger than the server takes, made smaller here: phones make some of 50 to 200 megapixels.

const SIDE = 2048; // No model looks at more.
const QUALITIES = [0.92, 0.8, 0.6];
const UNKNOWN_BYTES = 1_000_000; // Of a kind whose size is not read here, up to so many are sent as they are.

/** Read the pixel sizes that stand in the first bytes of a PNG or JPEG; null where they are not known. */
async function pixelsOf(file) {
  const view = new DataView(await file.slice(0, 262_144).arrayBuffer());
  if (view.byteLength > 24 && view.getUint32(0) === 0x89504e47) return view.getUint32(16) * view.getUint32(20);
  if (view.byteLength < 4 || view.getUint16(0) !== 0xffd8) return null;
  for (let at = 2; at + 9 < view.byteLength && view.getUint8(at) === 0xff; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return view.getUint16(at + 5) * view.getUint16(at + 7);
  }
  return null;
}

const drawn = (bitmap, width, height) => {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff"; // What is transparent would turn black.
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas;
};

/** Decode a picture upright, as its EXIF orientation says, and draw it with its longer side at most `SIDE`. */
async function smaller(file, largest, most) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  try {
    if (file.size <= largest && bitmap.width * bitmap.height <= most) return file;
    const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
    const sides = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
    const canvas = drawn(bitmap, ...sides);
    for (const quality of QUALITIES) {
      const blob = await canvas.convertToBlob({ type: "image/jpeg", quality });
      if (blob.size <= largest) return new File([blob], file.name || "pasted.jpg", { type: "image/jpeg" });
    }
    return file;
  } finally {
    bitmap.close();
  }
}

/** Return a picture as the server takes it: as it is, or made smaller; as it is, too, where this browser cannot read it. */
export async function fitted(file, { image_bytes: largest, pixels: most }) {
  const pixels = await pixelsOf(file);
  const mayBeLarge = pixels === null ? file.size > UNKNOWN_BYTES : pixels > most;
  if (!(mayBeLarge || file.size > largest) || (file.type && !file.type.startsWith("image/")) || file.type === "image/svg+xml") return file;
  try {
    return await smaller(file, largest, most);
  } catch {
    return file; // The server says what is wrong with it.
  }
}
