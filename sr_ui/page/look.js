// Looking at one file: the pictures at the left; what is made of it is chosen at the right.
import { createClip } from "./clip.js";
import { duration, el, parted } from "./dom.js";
import { createLayers } from "./layers.js";
import { problem, tell } from "./said.js";
import { createScrubber } from "./scrub.js";
import { server } from "./server.js";
import { createSide, SHOWN } from "./side.js";
import { shares, words } from "./strings.js";
import { createViewer } from "./viewer.js";

const OFFERED = ["clear", "swift"]; // shown beside the suggested one

export function createLook(file, models, opened, goQueue) {
  const viewer = createViewer(words, () => refresh());
  const stage = el("div", { class: "stage" }, viewer.root);
  const aside = el("aside", { class: "side", "aria-label": words.facts });
  const root = el("div", { class: "looking" }, stage, aside);
  // what is chosen. scale: output over input; height: of the output where that was asked for; before: a model that runs first
  const look = { seconds: 0, shown: [], order: [], model: null, before: "", strength: 1, sharpen: 0, grain: 0, steady: false, scale: 2, height: null, codec: "", format: "", target: "", isTargetTyped: false };
  const costs = new Map(); // of a key: null while it is measured, what was found, or { error }
  let facts = null, side = null, clip = null, measuring = Promise.resolve(), hasEnded = false;
  let wanted = null, runs = null; // the model to show once its picture is there, and the one that was chosen before

  const layers = createLayers((found, more) => {
    if (clip?.isPlaying || hasEnded) return;
    viewer.show(found.sort((one, other) => look.order.indexOf(one.name) - look.order.indexOf(other.name)), wanted);
    if (found.some(layer => layer.name === wanted)) wanted = null;
    viewer.setNote(more ? words.loading : noteOf(found));
    if (file.kind === "image") for (const layer of found) if (layer.engineSeconds) noteCost(layer);
  }, error => { viewer.setNote(""); tell(error); });

  begin();
  async function begin() {
    try {
      facts = await server.facts(file.id);
    } catch (error) {
      root.classList.add("alone");
      viewer.root.replaceWith(el("div", { class: "empty" }, el("h2", {}, words.cannotOpen(file.name)), problem(error)));
      aside.remove();
      return;
    }
    const found = facts.advice.suggestion ?? { model: models[0].name, scale: 2, codec: "" };
    Object.assign(look, { model: found.model, scale: found.scale, codec: found.codec, target: facts.target });
    look.shown = [...new Set([look.model, ...OFFERED])].filter(name => gives(modelOf(name), look.scale)).slice(0, SHOWN);
    side = createSide({ file, facts, models, look, costs, engineOf, keyOf, gives, isFaithful, timesReason, changed, measureShown, goQueue });
    aside.append(side.root);
    if (file.kind === "video") addScrubber();
    if (file.kind === "folder") showSheet();
    changed();
  }
  const modelOf = name => models.find(model => model.name === name);
  // whether a model makes a picture so much larger; what it does not give by itself is resized down
  function gives(model, scale) { return model !== undefined && (scale === 1 ? model.scales.includes(1) : model.scales.some(own => own >= scale)); }
  function noteOf(found) {
    const whole = facts.advice.width * look.scale; // sides are made even
    return found[0] && found[0].whole[0] < whole - 2 ? words.middleOnly : "";
  }
  // the chosen one runs as it was set; the others beside it plainly
  function engineOf(name) {
    if (name !== look.model) return { model: name, scale: look.scale };
    const unusual = Object.entries({ strength: 1, sharpen: 0, grain: 0, steady: false }).filter(([option, usual]) => look[option] !== usual);
    return { model: look.before ? `${look.before},${name}` : name, scale: look.scale, ...Object.fromEntries(unusual.map(([option]) => [option, look[option]])) };
  }
  const isFaithful = () => look.model === "clear" && !look.before; // what a strength below 1 mixes in: clear takes none
  const labelOf = name => parted([engineOf(name).model.replaceAll(",", " → "), ...shares(engineOf(name))]);

  function changed() {
    if (look.before === look.model) look.before = ""; // not offered: it would run unseen
    if (isFaithful()) look.strength = 1;
    if (runs !== look.model) wanted = runs = look.model;
    side.draw();
    refresh();
  }
  function refresh() {
    if (file.kind === "folder" || !facts?.advice) return;
    const common = { file: file.id, seconds: look.seconds, aspect: facts.advice.sample_aspect, fit: viewer.fit() };
    const first = [...(wanted ? [wanted] : []), ...viewer.names(), look.model]; // what is looked at comes first
    const place = name => (first.includes(name) ? first.indexOf(name) : first.length);
    look.order = ["bicubic", ...look.shown];
    const names = look.order.toSorted((one, other) => (one === "bicubic" ? -1 : other === "bicubic" ? 1 : place(one) - place(other)));
    layers.ask(names.map(name => (name === "bicubic" ? { ...common, model: "bicubic", scale: look.scale, name, label: words.bicubic } : { ...common, ...engineOf(name), name, label: labelOf(name) })));
    viewer.setNote(words.loading);
    measureShown();
  }

  // what a run would take ----------------------------------------------------------------------

  function keyOf(name, scale = look.scale) { return JSON.stringify([{ ...engineOf(name), scale }, look.codec]); }
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
  function measure(name, scale) {
    const key = keyOf(name, scale), options = { ...engineOf(name), scale, codec: look.codec };
    if (costs.has(key)) return;
    costs.set(key, null);
    measuring = measuring.then(async () => {
      if (hasEnded) return;
      try { costs.set(key, await server.estimate(file.id, options)); } catch (error) { costs.set(key, { error: error.message }); }
      side.draw();
    });
    side.draw();
  }
  function noteCost(layer) {
    const key = keyOf(layer.name);
    if (costs.has(key)) return;
    costs.set(key, { pictureSeconds: layer.engineSeconds });
    side.draw();
  }

  // moments, and images of a folder ------------------------------------------------------------

  function addScrubber() {
    look.seconds = (facts.advice.seconds ?? 0) / 2;
    const startOfClip = () => Math.min(look.seconds, Math.max(0, (facts.advice.seconds ?? 0) - 1));
    clip = createClip(file, viewer, () => ({ ...engineOf(look.model), start: startOfClip() }), refresh);
    stage.append(createScrubber(file, facts.advice, look.seconds, seconds => { clip.stop(true); look.seconds = seconds; refresh(); }, clip.button));
  }
  function showSheet() {
    const pictures = facts.images.map((path, number) => el("li", {}, el("button", { type: "button", title: path, onclick: () => server.open(path).then(opened).catch(tell) },
      el("img", { src: server.sheetPicture(file.id, number), alt: "", loading: "lazy" }), el("span", {}, path.split(/[\\/]/).pop()))));
    viewer.root.replaceWith(pictures.length ? el("ul", { class: "sheet", "aria-label": words.sheet }, pictures) : el("div", { class: "empty" }, el("h2", {}, words.noImages), el("p", {}, words.noImagesText)));
  }

  return { file, root, stage, end() { hasEnded = true; clip?.stop(true); viewer.end(); } };
}
