// The queue: what waits, what runs, what became of it.
import { bytes, clock, duration, el, parted } from "./dom.js";
import { createLayers } from "./layers.js";
import { tell } from "./said.js";
import { server } from "./server.js";
import { shares, words } from "./strings.js";
import { createViewer } from "./viewer.js";

const nameOf = path => path.split(/[\\/]/).pop();

export function createQueue() {
  const root = el("div", { class: "queue" });
  const cards = new Map(); // id → { node, draw, extra }
  const list = el("ol", { "aria-label": words.queue });
  const empty = el("div", { class: "empty" }, el("h2", {}, words.noJobs), el("p", {}, words.noJobsText));
  const watched = el("section", { class: "block", "aria-label": words.watched });
  root.append(empty, list, watched);

  function draw(state) {
    empty.classList.toggle("hidden", state.jobs.length + state.watches.length > 0);
    watched.replaceChildren(...(state.watches.length ? [el("h2", {}, words.watched)] : []), ...state.watches.map(watchCard));
    for (const [id, card] of cards) if (!state.jobs.some(job => job.id === id)) { card.node.remove(); cards.delete(id); }
    state.jobs.forEach((job, place) => {
      if (!cards.has(job.id)) cards.set(job.id, createCard());
      const card = cards.get(job.id);
      card.draw(job, place, state.jobs.length);
      if (list.children[place] !== card.node) list.insertBefore(card.node, list.children[place] ?? null);
    });
  }
  return { root, draw };
}

function watchCard(found) {
  return el("article", { class: "job" },
    el("header", {}, el("h3", {}, `${nameOf(found.source)} → ${nameOf(found.target)}`), el("span", { class: "state" }, found.is_running ? words.watching : words.notWatching)),
    el("p", { class: "facts-line" }, words.watchLine(found)),
    Object.keys(found.failed).length ? el("ul", { class: "notes" }, Object.entries(found.failed).slice(0, 8).map(([name, error]) => el("li", {}, `${name}: ${error}`))) : null);
}

function createCard() {
  const node = el("li", { class: "job" });
  const extra = el("div");
  let shown = "", shownButtons = "", open = "", viewer = null;
  const head = el("div", { class: "head" }), row = el("div", { class: "row" });
  node.append(head, row, extra);

  function draw(job, place, count) {
    last = [job, place, count];
    const text = JSON.stringify([job, place, count, open]);
    if (text === shown) return;
    shown = text;
    node.className = `job ${job.state}`;
    node.dataset.id = job.id;
    node.dataset.state = job.state;
    head.replaceChildren(
      el("header", {}, el("h3", {}, nameOf(job.target)), el("span", { class: "state" }, words.states[job.state])),
      ...(["done", "cancelled"].includes(job.state) || (job.state === "failed" && !job.done) ? [] : [el("progress", { max: job.total || 1, value: job.done, "aria-label": nameOf(job.target) })]),
      el("p", { class: "facts-line" }, lineOf(job)),
      ...(job.error && job.state === "failed" ? [el("div", { class: "problem", role: "alert" }, job.error, job.hint ? el("small", {}, job.hint) : null)] : []),
      ...(job.notes.length ? [el("ul", { class: "notes" }, job.notes.slice(0, 8).map(note => el("li", {}, note)))] : []));
    const wanted = JSON.stringify([job.state, job.target, place, count, open]); // progress leaves the buttons as they are
    if (wanted === shownButtons) return;
    shownButtons = wanted;
    const focused = row.contains(document.activeElement) ? document.activeElement.textContent : null;
    row.replaceChildren(...buttons(job, place, count).filter(Boolean));
    if (focused) [...row.children].find(button => button.textContent === focused)?.focus();
  }
  let last = null;
  const redo = () => { shown = ""; draw(...last); };
  const act = (text, what, label, isOpen) => el("button", { class: "button small", type: "button", "aria-label": label, "aria-expanded": isOpen === undefined ? null : String(isOpen), onclick: () => what().catch(tell) }, text);

  function buttons(job, place, count) {
    const isOver = ["done", "failed", "cancelled"].includes(job.state);
    const can = { pause: ["waiting", "running"], resume: ["paused"], again: ["failed", "cancelled"], stop: ["waiting", "running", "pausing", "paused"], remove: ["done", "failed", "cancelled", "paused"] };
    const has = name => can[name].includes(job.state);
    const toggles = (name, text, show) => act(text, async () => { const was = open; hide(); if (was !== name) { open = name; await show(job); } redo(); }, undefined, open === name);
    return [
      has("pause") && act(words.pause, () => server.change(job.id, "pause")),
      has("resume") && act(words.resume, () => server.change(job.id, "resume")),
      has("again") && act(words.again, () => server.change(job.id, "resume")),
      job.state === "failed" && job.can_replace && act(words.replace, () => server.change(job.id, "replace")),
      job.state === "done" && toggles("compare", words.compare, compare),
      job.state === "done" && act(words.reveal, () => server.reveal(job.id)),
      job.kind === "video" && ["running", "pausing", "paused"].includes(job.state) && toggles("watch", words.watch, watch),
      !isOver && count > 1 && place > 0 && act("↑", () => server.change(job.id, "move", place - 1), `${words.up}: ${nameOf(job.target)}`),
      !isOver && count > 1 && place < count - 1 && act("↓", () => server.change(job.id, "move", place + 1), `${words.down}: ${nameOf(job.target)}`),
      toggles("log", words.log, log),
      has("stop") && act(words.stop, () => server.change(job.id, "cancel")),
      has("remove") && act(words.remove, () => server.remove(job.id)),
    ];
  }
  function hide() { open = ""; viewer?.end(); viewer = null; extra.replaceChildren(); }
  async function log(job) {
    const { lines } = await server.log(job.id);
    const place = el("pre", { class: "log", tabindex: "0", "aria-label": words.log }, lines.join("\n"));
    extra.replaceChildren(place);
    place.scrollTop = place.scrollHeight;
  }
  async function watch(job) {
    const video = el("video", { controls: true, autoplay: true, "aria-label": words.watch });
    const line = el("p", { class: "facts-line" });
    let number = 0;
    const play = async () => {
      const found = await server.segments(job.id);
      if (number >= found.playable) { line.textContent = words.segmentsDone(found.playable, found.segments); if (open === "watch") setTimeout(() => play().catch(tell), 3000); return; }
      line.textContent = words.segments(number + 1, found.segments);
      video.src = server.segmentVideo(job.id, number);
    };
    video.addEventListener("ended", () => { number += 1; play().catch(tell); });
    extra.replaceChildren(video, line);
    await play();
  }
  async function compare(job) {
    const pairs = job.kind === "video" ? [[job.sources[0], job.target]] : job.results;
    if (!pairs.length) return;
    const openPair = pair => Promise.all(pair.map(server.openAside));
    const [before, after] = await openPair(pairs[0]);
    viewer = createViewer(words, () => ask().catch(tell));
    const facts = job.kind === "video" ? (await server.facts(before.id)).advice : null;
    let at = (facts?.seconds ?? 0) / 2, pair = [before, after];
    const layers = createLayers((found, more) => { viewer?.show(found); viewer?.setNote(more ? words.loading : ""); }, tell);
    const ask = async () => {
      const fit = viewer.fit();
      const size = (await server.frame(pair[1].id, { seconds: at, model: "source", scale: 1, fit: 2 }));
      URL.revokeObjectURL(size.url);
      const same = { seconds: at, size: [size.width, size.height], scale: 1, model: "source", aspect: facts?.sample_aspect, fit };
      layers.ask([{ ...same, file: pair[0].id, name: words.original, label: words.original }, { ...same, file: pair[1].id, name: engineOf(job), label: engineOf(job) }]);
    };
    const moment = facts ? el("input", { type: "range", min: "0", max: String(Math.max(0, facts.seconds - 0.05)), step: "0.04", value: String(at), "aria-label": words.time, onchange: event => { at = Number(event.target.value); ask().catch(tell); } }) : null;
    const choice = pairs.length > 1 ? el("select", { "aria-label": words.images, onchange: async event => { const chosen = pairs[event.target.selectedIndex]; pair = await openPair(chosen); ask().catch(tell); } }, pairs.map(found => el("option", {}, nameOf(found[0])))) : null;
    extra.replaceChildren(...[choice, viewer.root, moment].filter(Boolean));
    await ask();
  }
  return { node, draw };
}

function lineOf(job) {
  const unit = job.kind === "video" ? words.frames : words.megapixels;
  const amount = value => (job.kind === "video" ? value : (value / 1e6).toFixed(1));
  const parts = [engineOf(job)];
  if (job.state === "done") {
    if (job.elapsed_seconds) parts.push(duration(job.elapsed_seconds));
    if (job.output_bytes) parts.push(bytes(job.output_bytes));
    parts.push(job.target);
  } else if (job.total) {
    parts.push(`${amount(job.done)} ${words.of} ${amount(job.total)} ${unit}`, words.percent(Math.floor((100 * job.done) / job.total) / 100));
    if (job.state === "running" && job.eta_seconds !== null) parts.push(words.leftAbout(clock(job.eta_seconds)));
  } else parts.push(job.target);
  return parted(parts);
}
function engineOf(job) {
  const { model, scale, height } = job.options;
  return parted([`${model.replaceAll(",", " → ")} ${height ? words.lines(height) : words.factor(scale)}`, ...shares(job.options)]);
}
