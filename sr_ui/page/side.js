// What is made of a file: models with what they cost, size, codec, where it goes. The right side of the look.
import { bytes, duration, el, parted, whenReleased } from "./dom.js";
import { say, tell } from "./said.js";
import { server } from "./server.js";
import { about, codecs, formats, papers, words } from "./strings.js";

export const SHOWN = 4; // models beside bicubic
const FREQUENT_SCALES = [2, 3, 4], LARGEST_SCALE = 16;

// `at` is what createLook shares: the file, its facts, the models, what is chosen (`look`) and how to ask about it
export function createSide(at) {
  const { file, facts, models, look, costs } = at;
  const root = el("div", { class: "blocks" });
  const isVideo = file.kind === "video", isFolder = file.kind === "folder";
  const isOpen = {}; // of each <details>, by its name

  const draw = () => whenReleased("side", redraw);
  function redraw() {
    const focused = root.contains(document.activeElement) ? document.activeElement.id : "";
    const aside = root.parentNode, scroll = aside?.scrollTop ?? 0;
    root.replaceChildren(...[factsBlock(), modelsBlock(), scaleBlock(), isVideo ? codecBlock() : isFolder ? formatBlock() : null, targetBlock(), runBlock()].filter(Boolean));
    if (aside) aside.scrollTop = scroll;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
  const more = (name, title, ...children) => el("details", { open: isOpen[name], ontoggle: event => { isOpen[name] = event.target.open; } }, el("summary", { class: "hint" }, title), ...children);

  function factsBlock() {
    const { words: found, suggestion } = facts.advice;
    const reasons = suggestion ? [...suggestion.reasons, at.timesReason()].filter(Boolean) : [];
    return el("section", { class: "block" }, el("h2", {}, words.facts),
      el("ul", { class: "facts" }, found.map(word => el("li", {}, word))),
      reasons.length ? [el("h2", { class: "next" }, words.suggestion), el("ul", { class: "reasons" }, reasons.map(reason => el("li", {}, reason)))] : null);
  }

  // models -------------------------------------------------------------------------------------

  function modelsBlock() {
    const usable = models.filter(model => at.gives(model, look.scale));
    const isNear = model => !papers.includes(model.name) || look.shown.includes(model.name) || look.model === model.name;
    const others = usable.filter(model => !isNear(model));
    return el("section", { class: "block" }, el("h2", {}, words.models), isFolder ? null : el("p", { class: "hint" }, words.modelsHint),
      el("div", { role: "radiogroup", "aria-label": words.choose }, usable.filter(isNear).map(modelRow), others.length ? more("papers", words.otherModels, others.map(modelRow)) : null),
      more("chain", words.chain, beforeField(), strengthField(), sharpenField(), grainField(), isVideo ? steadyField() : null));
  }
  function modelRow(model) {
    const name = model.name, isChosen = look.model === name, isShown = look.shown.includes(name);
    return el("div", { class: isChosen ? "model chosen" : "model" },
      el("input", { type: "radio", name: "model", id: `run-${name}`, checked: isChosen, onchange: () => choose(name) }),
      el("label", { class: "name", for: `run-${name}` }, name),
      isFolder ? null : el("label", { class: "showing" }, el("input", { type: "checkbox", id: `show-${name}`, checked: isShown, disabled: !isShown && look.shown.length >= SHOWN, onchange: () => toggle(name), "aria-label": `${words.show} ${name}` }), words.show),
      el("span", { class: "about" }, about[name] ?? (model.about || words.yours)),
      costLine(name));
  }
  function costLine(name) {
    const key = at.keyOf(name);
    if (isFolder || !costs.has(key)) return null;
    const cost = costs.get(key);
    if (cost === null) return el("span", { class: "cost quiet" }, words.measuring);
    if (cost.error) return el("span", { class: "cost quiet" }, cost.error);
    if (cost.pictureSeconds) return el("span", { class: "cost" }, words.perPicture(cost.pictureSeconds));
    return el("span", { class: "cost" }, parted([words.fps(cost.fps), duration(cost.seconds), bytes(cost.output_bytes)]), cost.is_shared ? el("span", { class: "hint" }, ` (${words.shared})`) : "");
  }
  function choose(name) {
    look.model = name;
    if (!isFolder && !look.shown.includes(name)) look.shown = [...look.shown.slice(0, SHOWN - 1), name];
    at.changed();
  }
  function toggle(name) {
    look.shown = look.shown.includes(name) ? look.shown.filter(other => other !== name) : [...look.shown, name];
    at.changed();
  }
  function beforeField() {
    return el("label", { class: "field" }, el("span", {}, words.before),
      el("select", { id: "before", onchange: event => { look.before = event.target.value; at.changed(); } },
        [["", words.nothing], ...models.filter(model => model.name !== look.model).map(model => [model.name, model.name])].map(([value, text]) => el("option", { value, selected: value === look.before }, text))));
  }
  // a slider of 0 to 1 for what `look` holds under `name`
  function shareField(name, hint, disabled = false) {
    const text = words[`${name}Of`], shown = el("span", {}, text(look[name]));
    return el("label", { class: "field" }, shown,
      el("input", { type: "range", id: name, min: "0", max: "1", step: "0.05", value: String(Number(look[name]) || 0), disabled, "aria-label": words[name],
        oninput: event => { shown.textContent = text(Number(event.target.value)); }, onchange: event => { look[name] = Number(event.target.value); at.changed(); } }),
      el("span", { class: "hint" }, hint));
  }
  const strengthField = () => shareField("strength", at.isFaithful() ? words.faithful : words.strengthHint, at.isFaithful());
  const sharpenField = () => shareField("sharpen", words.sharpenHint);
  const grainField = () => [shareField("grain", words.grainHint, look.grain === "keep" || look.steady), tickField("keep-grain", words.keepGrain, look.grain === "keep", look.steady, isOn => { look.grain = isOn ? "keep" : 0; })];
  const steadyField = () => [tickField("steady", words.steady, look.steady, Boolean(look.grain), isOn => { look.steady = isOn; }), el("span", { class: "hint" }, words.steadyHint)];
  function tickField(id, text, checked, disabled, act) {
    return el("label", { class: "tick" }, el("input", { type: "checkbox", id, checked, disabled, onchange: event => { act(event.target.checked); at.changed(); } }), text);
  }

  // size ---------------------------------------------------------------------------------------

  function scaleBlock() {
    const known = [...new Set([...models.flatMap(model => model.scales), look.scale])].sort((one, two) => one - two);
    const isNear = scale => FREQUENT_SCALES.includes(scale) || scale === look.scale;
    return el("fieldset", { class: "block" }, el("legend", {}, el("h2", {}, words.scale)),
      el("div", { class: "choices" }, known.filter(isNear).map(scaleChoice)),
      more("scales", words.otherScales, el("div", { class: "choices" }, known.filter(scale => !isNear(scale)).map(scaleChoice)), anySize()));
  }
  function scaleChoice(scale) {
    const { width, height } = facts.advice, isChosen = look.scale === scale;
    const cost = costs.get(at.keyOf(look.model, scale));
    const size = width ? `${Math.round(width * scale)} × ${isChosen && look.height ? look.height : Math.round(height * scale)}` : "";
    return el("label", { class: "choice" },
      el("input", { type: "radio", name: "scale", id: `scale-${scale}`, checked: isChosen, onchange: () => setScale(scale) }),
      el("b", {}, words.factor(scale)), el("span", {}, scale === 1 ? words.cleansOnly : size), cost?.seconds ? el("span", {}, duration(cost.seconds)) : null);
  }
  function anySize() {
    const { height } = facts.advice;
    const number = (id, text, value, most, step, act) => el("label", { class: "field" }, el("span", {}, text),
      el("input", { type: "number", id, min: "1", max: String(most), step, value: String(value), onchange: event => { const found = Number(event.target.value); if (found >= 1 && found <= most) act(found); else event.target.value = String(value); } }));
    return el("div", { class: "pair" },
      number("factor", words.anyFactor, Number(look.scale.toFixed(3)), LARGEST_SCALE, "any", scale => setScale(scale)),
      height ? number("height", words.anyHeight, look.height ?? Math.round(height * look.scale), height * LARGEST_SCALE, "1", wanted => { if (wanted >= height) setScale(wanted / height, wanted); else draw(); }) : null);
  }
  function setScale(scale, height = null) {
    Object.assign(look, { scale, height });
    const modelOf = name => models.find(model => model.name === name);
    if (!at.gives(modelOf(look.model), scale)) look.model = models.find(model => at.gives(model, scale)).name;
    look.shown = [...new Set([look.model, ...look.shown.filter(name => at.gives(modelOf(name), scale))])].slice(0, SHOWN);
    if (!look.isTargetTyped) look.target = look.target.replace(/-[\d.]+x(?=(-\d+)?(\.[^./]*)?$)/, `-${Number(scale.toFixed(2))}x`);
    at.changed();
  }

  // what it becomes ----------------------------------------------------------------------------

  function codecBlock() {
    return choiceField("codec", words.codec, codecs, look.codec, value => { look.codec = value; draw(); at.measureShown(); });
  }
  function formatBlock() {
    return choiceField("format", words.format, formats, look.format, value => { look.format = value; draw(); });
  }
  function choiceField(id, text, entries, chosen, act) {
    return el("label", { class: "field" }, el("span", {}, text),
      el("select", { id, onchange: event => act(event.target.value) }, entries.map(([value, shown]) => el("option", { value, selected: value === chosen }, shown))));
  }
  function targetBlock() {
    return el("label", { class: "field" }, el("span", {}, isFolder ? words.outputFolder : words.output),
      el("input", { type: "text", id: "target", spellcheck: "false", value: look.target, oninput: event => { look.target = event.target.value; look.isTargetTyped = true; } }));
  }
  function runBlock() {
    return el("div", { class: "row run" }, el("button", { class: "button main", type: "button", id: "run", onclick: run }, words.run));
  }
  async function run(event) {
    event.currentTarget.disabled = true;
    try {
      const options = at.engineOf(look.model);
      if (look.height) options.height = look.height;
      if (isVideo) options.codec = look.codec;
      if (look.format) options.format = look.format;
      await server.addJob({ sources: [file.path], target: look.target, options });
      say(words.added(file.name));
      at.goQueue();
    } catch (error) { tell(error); }
    draw();
  }
  return { root, draw };
}
