// Which moment of a video is shown: a strip of its frames with a slider over it, and marks.
import { clock, el } from "./dom.js";
import { tell } from "./said.js";
import { server } from "./server.js";
import { words } from "./strings.js";

const PICTURES = 14;

// `moved(seconds)` is called with every move; `more` stands beside the marks
export function createScrubber(file, advice, seconds, moved, more) {
  const step = 1 / (advice.frame_rate ?? 25), whole = advice.seconds ?? 0;
  const length = Math.max(0, whole - step);
  const moment = el("span", { class: "moment" });
  const range = el("input", { type: "range", min: "0", max: String(length), step: String(step), "aria-label": words.time });
  const pictures = el("div", { class: "strip" }, range);
  const marks = el("div", { class: "row" }, mark(words.start, 0), mark(words.middle, length / 2));
  const busiest = el("span", { class: "hidden" });
  marks.append(busiest, el("div", { class: "space" }), moment, more);
  range.addEventListener("input", () => { tellOf(Number(range.value)); moved(Number(range.value)); });
  tellOf(seconds);
  server.strip(file.id).then(found => {
    const every = Math.max(1, Math.ceil(found.frames.length / PICTURES));
    const chosen = found.frames.map((_, index) => index).filter(index => index % every === 0);
    pictures.prepend(...chosen.map(index => el("img", { src: server.stripPicture(file.id, index), alt: "" })));
    if (found.busiest !== null) busiest.replaceWith(mark(words.busiest, found.frames[found.busiest].seconds));
  }).catch(tell);

  function mark(text, at) {
    return el("button", { class: "button small", type: "button", onclick: () => { const to = Math.min(length, at); tellOf(to); moved(to); } }, text);
  }
  function tellOf(at) {
    range.value = String(at);
    moment.textContent = `${clock(at)} ${words.of} ${clock(whole)}`;
    range.setAttribute("aria-valuetext", clock(at));
  }
  return el("div", { class: "scrub" }, pictures, marks);
}
