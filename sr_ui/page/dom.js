// Elements without innerHTML: names of files are text, whatever they hold.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "style") Object.assign(node.style, value);
    else if (name in node && name !== "list" && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false).map(shown));
  return node;
}
// bytes that are no text arrive as lone surrogates; they are shown as the sign for that
export const shown = value => (typeof value === "string" ? value.toWellFormed?.() ?? value : value);

// Nothing is redrawn under a finger that is down: the click would go to what is not there any more.
let isDown = false;
const putOff = new Map();
// the left button alone: where another opens a menu, the page may never hear that it came up
addEventListener("pointerdown", event => { if (event.button === 0) isDown = true; }, true);
for (const name of ["pointerup", "pointercancel", "dragend"]) addEventListener(name, () => { isDown = false; setTimeout(release); }, true); // after the click
function release() {
  if (isDown) return;
  const acts = [...putOff.values()];
  putOff.clear();
  acts.forEach(act => act());
}
export function whenReleased(key, act) {
  if (isDown) putOff.set(key, act);
  else act();
}

export const parted = parts => parts.filter(Boolean).join(" · ");

export function clock(seconds) {
  if (seconds === null || seconds === undefined || !isFinite(seconds)) return "?";
  const whole = Math.max(0, Math.round(seconds));
  const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60, s = whole % 60;
  return h ? `${h}:${String(m).padStart(2, "0")}:${String(s).padStart(2, "0")}` : `${m}:${String(s).padStart(2, "0")}`;
}
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "?";
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
export function bytes(count) {
  if (count === null || count === undefined) return "?";
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 999.5 && unit < 4) { count /= 1000; unit += 1; }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}
