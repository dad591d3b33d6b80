// What is said while the server still loads the model that an upload waits for.

import { isReady } from "./api.js";
import { announce } from "./dom.js";
import { showWaiting } from "./results.js";

const SLOW_MS = 150;
const WORDS = "The model is being loaded: the first picture waits for it.";

async function say(isWanted, count) {
  if ((await isReady()) || !isWanted()) return;
  showWaiting(count, WORDS);
  announce(WORDS);
}

/** Do what needs the model; where that takes long and the model is not there yet, say so, as long as it is wanted. */
export async function sayingLoading(work, isWanted, count) {
  const slow = setTimeout(() => say(isWanted, count).catch(() => {}), SLOW_MS);
  try {
    return await work();
  } finally {
    clearTimeout(slow);
  }
}
