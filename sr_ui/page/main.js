// The page: what is open, which view is shown, what the server says.
import { el, whenReleased } from "./dom.js";
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
const looks = new Map(); // of each file that was looked at: what was chosen stays
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
  if (!looks.has(file.id)) looks.set(file.id, createLook(file, state.models, opened, () => go("queue")));
  look = looks.get(file.id);
  go("look");
}
async function close(file) {
  tabs = tabs.filter(other => other.id !== file.id);
  server.close(file.id).catch(tell);
  looks.get(file.id)?.end();
  looks.delete(file.id);
  if (look?.file.id === file.id) { look = null; if (tabs.length) { show(tabs.at(-1)); return; } }
  draw();
}
function go(name) {
  if (name === "look" && !look && tabs.length) { show(tabs[0]); return; }
  view = name;
  history.replaceState(null, "", name === "queue" ? "#queue" : "#");
  draw();
}
function draw() {
  const running = state.jobs.find(job => job.state === "running" && job.total);
  document.title = running ? `${Math.floor((100 * running.done) / running.total)} % · srvid` : "srvid";
  drawNav(state.jobs.filter(job => ["running", "pausing", "waiting"].includes(job.state)).length);
  if (view === "queue") { queue.draw(state); fill(queue.root); return; }
  if (!look) {
    if (!main.querySelector(".welcome")) fill(el("div", { class: "empty welcome" }, el("h2", {}, words.emptyTitle), el("p", {}, words.emptyText), el("button", { class: "button main", type: "button", onclick: chooseFiles }, words.emptyOpen)));
    return;
  }
  fill(look.root);
  drawTabs();
}
// both only when they change: a button under a hand stays the same button
let navShown = "", tabsShown = "", tabLine = null;
function drawNav(busy) {
  const wanted = JSON.stringify([view, busy]);
  if (wanted === navShown) return;
  navShown = wanted;
  const focused = nav.contains(document.activeElement) ? [...nav.children].indexOf(document.activeElement) : -1;
  nav.replaceChildren(...["look", "queue"].map(name => el("button", { type: "button", "aria-current": name === view ? "page" : null, onclick: () => go(name) }, words[name], name === "queue" && busy ? el("span", { class: "count" }, busy) : null)));
  if (focused >= 0) nav.children[focused].focus();
}
function drawTabs() {
  const wanted = JSON.stringify([tabs, look.file.id]);
  if (wanted !== tabsShown) {
    tabsShown = wanted;
    const hadFocus = tabLine?.contains(document.activeElement);
    const line = el("div", { class: "tabs", role: "group", "aria-label": words.files }, tabs.map(file => el("span", { class: file.id === look.file.id ? "tab chosen" : "tab" },
      el("button", { type: "button", "aria-pressed": String(file.id === look.file.id), title: file.path, onclick: () => show(file) }, file.name),
      el("button", { type: "button", "aria-label": words.closeFile(file.name), onclick: () => close(file) }, "×"))));
    tabLine?.remove();
    tabLine = line;
    if (hadFocus) line.querySelector("[aria-pressed=true]")?.focus();
  }
  if (look.stage.firstChild !== tabLine) look.stage.prepend(tabLine);
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
  whenReleased("page", draw);
}, () => { if (state) say(words.gone); });
