// Zoom and pan of a picture in its stage: wheel, pinch, double click, drag; and a swipe where it is not zoomed.

const MOST = 8;
const DOUBLE = 2.5;
const SWIPE = 48;

const clamp = (value, most) => Math.min(Math.max(value, -most), most);

/** Let the picture in a stage be zoomed; `swiped(1)` and `swiped(-1)` are called for a swipe to the next and the last one. */
export function zoomable(stage, target, swiped) {
  const pointers = new Map();
  let [scale, x, y] = [1, 0, 0];
  let start = null;

  function show() {
    x = clamp(x, (stage.clientWidth * (scale - 1)) / 2);
    y = clamp(y, (stage.clientHeight * (scale - 1)) / 2);
    target.style.transform = scale === 1 ? "" : `translate(${x}px, ${y}px) scale(${scale})`;
    stage.classList.toggle("zoomed", scale > 1);
  }

  /** Zoom by a factor, so that what lies at a point of the window stays there; without a point, the middle does. */
  function by(factor, point = null) {
    const { left, top, width, height } = stage.getBoundingClientRect();
    const [at, below] = point ? [point.x - left - width / 2, point.y - top - height / 2] : [0, 0];
    const next = Math.min(Math.max(scale * factor, 1), MOST);
    x = at - ((at - x) * next) / scale;
    y = below - ((below - y) * next) / scale;
    scale = next;
    show();
  }

  function reset() {
    [scale, x, y] = [1, 0, 0];
    pointers.clear();
    show();
  }

  const middle = () => {
    const [one, other = one] = [...pointers.values()];
    return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, gap: Math.hypot(one.x - other.x, one.y - other.y) };
  };

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    by(Math.exp(-event.deltaY / 400), { x: event.clientX, y: event.clientY });
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => by(scale > 1 ? 1 / scale : DOUBLE, { x: event.clientX, y: event.clientY }));
  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    start = { ...middle(), swipes: pointers.size === 1 && scale === 1 };
  });
  stage.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const before = middle();
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const now = middle();
    if (pointers.size > 1 && before.gap > 0) by(now.gap / before.gap, now);
    x += scale > 1 ? now.x - before.x : 0;
    y += scale > 1 ? now.y - before.y : 0;
    show();
  });
  const end = (event) => {
    if (!pointers.delete(event.pointerId) || !start?.swipes || event.type === "pointercancel") return;
    const [across, down] = [event.clientX - start.x, event.clientY - start.y];
    if (scale === 1 && Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(down)) swiped(across < 0 ? 1 : -1);
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  return { by, reset };
}
