// Looking at one file: the pictures at the left, what to make of it at the right.
import { bytes, clock, duration, el } from "./dom.js";
import { createLayers } from "./layers.js";
import { problem, say, tell } from "./said.js";
import { server } from "./server.js";
import { about, codecs, papers, words } from "./strings.js";
import { createViewer } from "./viewer.js";

const SHOWN = 4, FREQUENT_SCALES = [2, 3, 4];

export function createLook(file, models, goQueue) {
  const viewer = createViewer(words);
  const side = el("aside", { class: "side", "aria-label": words.facts });
  const stage = el("div", { class: "stage" }, viewer.root);
  const root = el("div", { class: "looking" }, stage, side);
  const costs = new Map();
  const look = { seconds: 0, shown: [], model: null, scale: 2, codec: "", target: "", clip: null };
  let facts = null, measuring = Promise.resolve(), showsOthers = false, showsScales = false, ended = false, targetTouched = false;

  const layers = createLayers((found, more) => {
    if (look.clip || ended) return;
    viewer.show(found);
    viewer.setNote(more ? words.loading : noteOf(found));
  }, error => { viewer.setNote(""); tell(error); });

  begin();
  async function begin() {
    try {
      facts = await server.facts(file.id);
    } catch (error) { side.replaceChildren(problem(error)); return; }
    const found = facts.advice.suggestion ?? { model: models[0].name, scale: 2, codec: "" };
    Object.assign(look, { model: found.model, scale: found.scale, codec: found.codec, target: facts.target });
    look.shown = [...new Set([look.model, ...models.map(model => model.name).filter(name => name === "clear" || name === "swift")])].filter(name => scalesOf(name).includes(look.scale)).slice(0, SHOWN);
    if (file.kind === "video") {
      look.seconds = (facts.advice.seconds ?? 0) / 2;
      stage.append(scrubber());
    }
    drawSide();
    refresh();
  }
  const scalesOf = name => models.find(model => model.name === name)?.scales ?? [];
  const noteOf = found => {
    const whole = facts.advice.width * (found[0]?.name === words.original ? 1 : look.scale);
    return found[0] && found[0].pixels[0] < whole ? words.middleOnly : "";
  };

  function refresh() {
    if (file.kind === "folder") return;
    const common = { file: file.id, seconds: look.seconds, scale: look.scale, aspect: facts.advice.sample_aspect };
    const chosenFirst = [...look.shown].sort((one, other) => (other === look.model) - (one === look.model));
    layers.ask([["bicubic", words.bicubic], ...chosenFirst.map(name => [name, name])].map(([model, label]) => ({ ...common, model, name: model, label })));
    viewer.setNote(words.loading);
    measureShown();
  }

  // one after the other, the chosen first
  function measureShown() {
    if (file.kind !== "video") return;
    for (const name of [look.model, ...look.shown.filter(name => name !== look.model)]) measure(name, look.scale);
    const { model, scale } = facts.advice.suggestion;
    if (look.model === model && look.scale === scale) measure(model, otherScale());
  }
  // the size that is not suggested, to say what it would cost
  const otherScale = () => (facts.advice.suggestion.scale === 4 ? 2 : 4);
  function timesReason() {
    const { model, scale } = facts.advice.suggestion;
    const [chosen, other] = [scale, otherScale()].map(factor => ({ factor, name: facts.advice.sizes[factor], seconds: costs.get(keyOf(model, factor))?.seconds }));
    return chosen.seconds && other.seconds ? words.times({ ...other, time: duration(other.seconds) }, { ...chosen, time: duration(chosen.seconds) }) : null;
  }
  const keyOf = (name, scale) => `${name} ${scale} ${look.codec}`;
  function measure(name, scale) {
    const key = keyOf(name, scale), codec = look.codec;
    if (costs.has(key)) return;
    costs.set(key, null);
    measuring = measuring.then(async () => {
      if (ended) return;
      try { costs.set(key, await server.estimate(file.id, { model: name, scale, codec })); }
      catch (error) { costs.set(key, { error: error.message }); }
      drawSide();
    });
    drawSide();
  }

  function scrubber() {
    const length = Math.max(0, (facts.advice.seconds ?? 0) - 1 / (facts.advice.frame_rate ?? 25));
    const moment = el("span", { class: "moment" });
    const range = el("input", { type: "range", min: "0", max: String(length), step: String(1 / (facts.advice.frame_rate ?? 25)), value: String(look.seconds), "aria-label": words.time });
    const pictures = el("div", { class: "strip" }, range);
    const marks = el("div", { class: "row" });
    const goTo = seconds => {
      stopClip();
      look.seconds = Math.min(length, seconds);
      range.value = String(look.seconds);
      moment.textContent = `${clock(look.seconds)} ${words.of} ${clock(facts.advice.seconds)}`;
      range.setAttribute("aria-valuetext", clock(look.seconds));
      refresh();
    };
    range.addEventListener("input", () => goTo(Number(range.value)));
    const mark = (text, seconds) => el("button", { class: "button small", type: "button", onclick: () => goTo(seconds) }, text);
    marks.append(mark(words.start, 0), mark(words.middle, length / 2));
    moment.textContent = `${clock(look.seconds)} ${words.of} ${clock(facts.advice.seconds)}`;
    server.strip(file.id).then(found => {
      const step = Math.max(1, Math.ceil(found.frames.length / 14));
      const chosen = found.frames.map((_, index) => index).filter(index => index % step === 0);
      pictures.prepend(...chosen.map(index => el("img", { src: server.stripPicture(file.id, index), alt: "" })));
      if (found.busiest !== null) marks.append(mark(words.busiest, found.frames[found.busiest].seconds));
      marks.append(el("div", { class: "space" }), moment);
    }).catch(tell);
    const previewing = el("button", { class: "button small", type: "button", onclick: () => (look.clip ? stopClip(true) : playClip()) }, words.preview);
    previewing.id = "preview";
    marks.append(previewing);
    return el("div", { class: "scrub" }, pictures, marks);
  }

  async function playClip() {
    const button = document.getElementById("preview");
    try {
      let clip = await server.clip(file.id, { model: look.model, scale: look.scale, start: Math.min(look.seconds, Math.max(0, (facts.advice.seconds ?? 0) - 1)) });
      const id = look.clip = clip.id;
      button.textContent = words.previewStop;
      while (clip.state === "running" && look.clip === id && !ended) {
        await new Promise(done => setTimeout(done, 400));
        clip = await server.clipState(id);
        viewer.setNote(`${words.preview}: ${clip.done} ${words.of} ${clip.total || "?"} ${words.frames}`);
      }
      if (look.clip !== id || ended) return;
      if (clip.state === "failed") { stopClip(true); say(clip.error, clip.hint); return; }
      showClip(id);
    } catch (error) { stopClip(true); tell(error); }
  }
  async function showClip(id) {
    const video = side_ => Object.assign(el("video", { muted: true, loop: true, playsinline: "", src: server.clipVideo(id, side_), "aria-label": side_ }), { muted: true });
    const before = video("before"), after = video("after");
    await Promise.all([before, after].map(node => new Promise((done, fail) => { node.onloadeddata = done; node.onerror = () => fail(new Error("the browser cannot play the preview")); })));
    const [width, height] = [after.videoWidth, after.videoHeight];
    viewer.setNote("");
    viewer.show([{ name: words.original, label: words.original, element: before, width, height }, { name: look.model, label: look.model, element: after, width, height }]);
    after.addEventListener("timeupdate", () => { if (Math.abs(after.currentTime - before.currentTime) > 0.06) before.currentTime = after.currentTime; });
    await Promise.all([before.play(), after.play()]);
  }
  function stopClip(redraw = false) {
    if (!look.clip) return;
    look.clip = null;
    document.getElementById("preview").textContent = words.preview;
    if (redraw) refresh();
  }

  // the right side ------------------------------------------------------------------------------

  function drawSide() {
    if (ended) return;
    const focused = document.activeElement && side.contains(document.activeElement) ? document.activeElement.id : "";
    const scroll = side.scrollTop;
    side.replaceChildren(...[factsBlock(), modelsBlock(), scaleBlock(), file.kind === "video" ? codecBlock() : null, targetBlock(), runBlock()].filter(Boolean));
    side.scrollTop = scroll;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
  function factsBlock() {
    return el("section", { class: "block" }, el("h2", {}, words.facts),
      el("ul", { class: "facts" }, facts.advice.words.map(word => el("li", {}, word))),
      facts.advice.suggestion ? [el("h2", { style: { marginTop: "8px" } }, words.suggestion), el("ul", { class: "reasons" }, [...facts.advice.suggestion.reasons, timesReason()].filter(Boolean).map(reason => el("li", {}, reason)))] : null);
  }
  function modelsBlock() {
    const usable = models.filter(model => model.scales.includes(look.scale));
    const isNear = model => !papers.includes(model.name) || look.shown.includes(model.name) || look.model === model.name;
    const others = usable.filter(model => !isNear(model));
    return el("section", { class: "block" }, el("h2", {}, words.models), file.kind === "folder" ? null : el("p", { class: "hint" }, words.modelsHint),
      el("div", { role: "radiogroup", "aria-label": words.choose }, usable.filter(isNear).map(modelRow), others.length ? el("details", { open: showsOthers, ontoggle: event => { showsOthers = event.target.open; } }, el("summary", { class: "hint" }, words.otherModels), others.map(modelRow)) : null));
  }
  function modelRow(model) {
    const name = model.name, chosen = look.model === name, ticked = look.shown.includes(name);
    return el("div", { class: chosen ? "model chosen" : "model" },
      el("input", { type: "radio", name: "model", id: `run-${name}`, checked: chosen, onchange: () => choose(name) }),
      el("label", { class: "name", for: `run-${name}` }, name),
      file.kind === "folder" ? null : el("label", { class: "showing" }, el("input", { type: "checkbox", id: `show-${name}`, checked: ticked, disabled: !ticked && look.shown.length >= SHOWN, onchange: () => toggle(name), "aria-label": `${words.show} ${name}` }), words.show),
      el("span", { class: "about" }, about[name] ?? model.about),
      costLine(name));
  }
  function costLine(name) {
    const key = keyOf(name, look.scale);
    if (file.kind !== "video" || !costs.has(key)) return null;
    const cost = costs.get(key);
    if (cost === null) return el("span", { class: "cost quiet" }, words.measuring);
    if (cost.error) return el("span", { class: "cost quiet" }, cost.error);
    return el("span", { class: "cost", title: cost.is_shared ? words.shared : "" }, `${cost.fps.toFixed(cost.fps < 10 ? 1 : 0)} ${words.fps} · ${duration(cost.seconds)} · ${bytes(cost.output_bytes)}`, cost.is_shared ? ` (${words.shared})` : "");
  }
  function choose(name) {
    look.model = name;
    if (file.kind !== "folder" && !look.shown.includes(name)) look.shown = [...look.shown.slice(0, SHOWN - 1), name];
    drawSide();
    refresh();
  }
  function toggle(name) {
    look.shown = look.shown.includes(name) ? look.shown.filter(other => other !== name) : [...look.shown, name];
    drawSide();
    refresh();
  }
  function scaleBlock() {
    const known = [...new Set(models.flatMap(model => model.scales))].sort((one, two) => one - two);
    const isNear = scale => FREQUENT_SCALES.includes(scale) || scale === look.scale;
    const others = known.filter(scale => !isNear(scale));
    return el("fieldset", { class: "block" }, el("legend", {}, el("h2", {}, words.scale)),
      el("div", { class: "choices" }, known.filter(isNear).map(scaleChoice)),
      others.length ? el("details", { open: showsScales, ontoggle: event => { showsScales = event.target.open; } }, el("summary", { class: "hint" }, words.otherScales), el("div", { class: "choices" }, others.map(scaleChoice))) : null);
  }
  function scaleChoice(scale) {
    const size = facts.advice.width ? `${facts.advice.width * scale}×${facts.advice.height * scale}` : "";
    const cost = costs.get(keyOf(look.model, scale));
    return el("label", { class: "choice" },
      el("input", { type: "radio", name: "scale", id: `scale-${scale}`, checked: look.scale === scale, onchange: () => setScale(scale) }),
      el("b", {}, `×${scale}`), el("span", {}, scale === 1 ? words.cleansOnly : size), cost?.seconds ? el("span", {}, duration(cost.seconds)) : null);
  }
  function setScale(scale) {
    look.scale = scale;
    if (!scalesOf(look.model).includes(scale)) look.model = models.find(model => model.scales.includes(scale)).name;
    look.shown = [...new Set([look.model, ...look.shown.filter(name => scalesOf(name).includes(scale))])].slice(0, SHOWN);
    if (!targetTouched) look.target = look.target.replace(/-\d+x(?=(-\d+)?(\.[^./]*)?$)/, `-${scale}x`);
    drawSide();
    refresh();
  }
  function codecBlock() {
    return el("label", { class: "field" }, el("span", {}, words.codec),
      el("select", { id: "codec", onchange: event => { look.codec = event.target.value; drawSide(); measureShown(); } }, codecs.map(([value, text]) => el("option", { value, selected: value === look.codec }, text))));
  }
  function targetBlock() {
    return el("label", { class: "field" }, el("span", {}, file.kind === "folder" ? words.outputFolder : words.output),
      el("input", { type: "text", id: "target", spellcheck: "false", value: look.target, oninput: event => { look.target = event.target.value; targetTouched = true; } }));
  }
  function runBlock() {
    return el("div", { class: "row" }, el("button", { class: "button main", type: "button", id: "run", onclick: run }, words.run));
  }
  async function run(event) {
    event.currentTarget.disabled = true;
    try {
      const options = { model: look.model, scale: look.scale };
      if (file.kind === "video") options.codec = look.codec;
      await server.addJob({ sources: [file.path], target: look.target, options });
      say(words.added(file.name));
      goQueue();
    } catch (error) { tell(error); }
    drawSide();
  }

  return {
    file, root,
    // a folder's pictures are a sheet; each opens by itself
    showSheet(opened) {
      if (file.kind !== "folder") return;
      const sheet = el("section", { class: "sheet", "aria-label": words.sheet });
      stage.replaceChildren(sheet);
      server.facts(file.id).then(async found => {
        for (const path of found.images) {
          try {
            const image = await server.open(path);
            if (ended) return;
            sheet.append(el("button", { type: "button", onclick: () => opened(image) }, el("img", { src: server.thumbnail(image.id), alt: "", loading: "lazy" }), el("span", {}, image.name)));
          } catch (error) { tell(error); }
        }
      }).catch(tell);
    },
    end() { ended = true; viewer.end(); },
  };
}
