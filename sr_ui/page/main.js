// The page: what is open, which view is shown, what the server says.
import { el } from "./dom.js";
import { createLook } from "./look.js";
import { acceptDrops, openDialog } from "./open.js";
import { createQueue } from "./queue.js";
import { say, tell } from "./said.js";
import { server } from "./server.js";
import { words } from "./strings.js";

const main = document.getElementById("main");
const nav = document.getElementById("views");
const open = document.getElementById("open");
let state = null, view = location.hash === "#queue" ? "queue" : "look", look = null, tabs = [];
const queue = createQueue();

open.textContent = words.open;
const chooseFiles = () => openDialog(state.start_folder, opened);
open.addEventListener("click", chooseFiles);
acceptDrops(opened);

function opened(file) {
  if (!tabs.some(other => other.id === file.id)) tabs.push(file);
  show(file);
}
function show(file) {
  look?.end();
  look = createLook(file, state.models, () => go("queue"));
  look.showSheet(opened);
  go("look");
}
async function close(file) {
  tabs = tabs.filter(other => other.id !== file.id);
  server.close(file.id).catch(tell);
  if (look?.file.id === file.id) { look.end(); look = null; if (tabs.length) { show(tabs.at(-1)); return; } }
  draw();
}
function go(name) {
  view = name;
  history.replaceState(null, "", name === "queue" ? "#queue" : "#");
  draw();
}
function draw() {
  const busy = state.jobs.filter(job => ["running", "pausing", "waiting"].includes(job.state)).length;
  nav.replaceChildren(...["look", "queue"].map(name => el("button", { type: "button", "aria-current": name === view ? "page" : null, onclick: () => go(name) }, words[name], name === "queue" && busy ? el("span", { class: "count" }, busy) : null)));
  const running = state.jobs.find(job => job.state === "running" && job.total);
  document.title = running ? `${Math.floor((100 * running.done) / running.total)} % · srvid` : "srvid";
  if (view === "queue") { queue.draw(state); fill(queue.root); return; }
  if (!look) {
    fill(el("div", { class: "empty" }, el("h2", {}, words.emptyTitle), el("p", {}, words.emptyText), el("button", { class: "button main", type: "button", onclick: chooseFiles }, words.emptyOpen)));
    return;
  }
  fill(look.root);
  const line = el("div", { class: "tabs", role: "group", "aria-label": words.files }, tabs.map(file => el("span", { class: file.id === look.file.id ? "tab chosen" : "tab" },
    el("button", { type: "button", "aria-pressed": String(file.id === look.file.id), title: file.path, onclick: () => show(file) }, file.name),
    el("button", { type: "button", "aria-label": words.close_(file.name), onclick: () => close(file) }, "×"))));
  const stage = look.root.firstChild;
  if (stage.firstChild.classList?.contains("tabs")) stage.firstChild.replaceWith(line);
  else stage.prepend(line);
}
function fill(node) { if (main.firstChild !== node) main.replaceChildren(node); }

server.follow(found => {
  const first = state === null;
  state = found;
  if (first) {
    tabs = [...state.files];
    if (tabs.length && view === "look") { show(tabs[0]); return; }
    if (tabs.length) look = null;
  }
  if (view === "look" && !first) drawNav(); else draw();
}, () => { if (state) say(words.gone); });

// the page under the hands of a person is not redrawn by what the queue does
function drawNav() {
  const kept = document.activeElement === document.body ? null : document.activeElement?.textContent;
  if (nav.contains(document.activeElement)) { draw(); [...nav.children].find(button => button.textContent === kept)?.focus(); return; }
  draw();
}
