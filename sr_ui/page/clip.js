// Ten seconds, moving: before and after as videos under the viewer's slider.
import { el } from "./dom.js";
import { say, tell } from "./said.js";
import { server } from "./server.js";
import { words } from "./strings.js";

const ASK_MILLISECONDS = 400, APART_SECONDS = 0.06;

// `options()` → what is run, or null once the page shows something else; `ended()` is called when the frame comes back
export function createClip(file, viewer, options, ended) {
  let playing = null; // the id of the clip that is made or shown
  const button = el("button", { class: "button small", type: "button", id: "preview", onclick: () => (playing ? stop() : play()) }, words.preview);

  async function play() {
    playing = "asked";
    button.textContent = words.previewStop;
    try {
      let clip = await server.clip(file.id, options());
      const id = playing = clip.id;
      while (clip.state === "running" && playing === id) {
        viewer.setNote(words.making(clip.done, clip.total));
        await new Promise(done => setTimeout(done, ASK_MILLISECONDS));
        clip = await server.clipState(id);
      }
      if (playing !== id) return;
      if (clip.state === "failed") { stop(); say(clip.error, clip.hint); return; }
      await show(id);
    } catch (error) { stop(); tell(error); }
  }
  async function show(id) {
    const video = (side, label) => Object.assign(el("video", { loop: true, playsinline: "", src: server.clipVideo(id, side), "aria-label": label }), { muted: true });
    const before = video("before", words.original), after = video("after", options().model);
    await Promise.all([before, after].map(node => new Promise((done, fail) => { node.onloadeddata = done; node.onerror = () => fail(new Error(words.cannotPlay)); })));
    if (playing !== id) return;
    const [width, height] = [after.videoWidth, after.videoHeight];
    viewer.setNote("");
    viewer.show([{ name: words.original, label: words.original, element: before, width, height }, { name: "after", label: options().model, element: after, width, height }]);
    after.addEventListener("timeupdate", () => { if (Math.abs(after.currentTime - before.currentTime) > APART_SECONDS) before.currentTime = after.currentTime; });
    await Promise.all([before.play(), after.play()]);
  }
  // `quietly`: something else is shown anyway
  function stop(quietly = false) {
    if (!playing) return;
    playing = null;
    button.textContent = words.preview;
    if (!quietly) ended();
  }
  return { button, stop, get isPlaying() { return playing !== null; } };
}
