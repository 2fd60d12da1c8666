// Choosing files: a folder view of this machine, a path, or a drop.
import { bytes, el } from "./dom.js";
import { say, tell } from "./said.js";
import { server } from "./server.js";
import { words } from "./strings.js";

let folderShown = null;

export function openDialog(startFolder, opened) {
  const list = el("ul", { class: "entries" });
  const path = el("input", { type: "text", id: "path", spellcheck: "false", autocomplete: "off" });
  const roots = el("div", { class: "row" });
  const dialog = el("dialog", { "aria-label": words.open },
    el("div", { class: "inner" },
      el("form", { class: "field", onsubmit: event => { event.preventDefault(); choose(path.value); } },
        el("label", { for: "path", class: "hint" }, words.pathLabel),
        el("div", { class: "row", style: { flexWrap: "nowrap" } }, path, el("button", { class: "button" }, words.go))),
      roots, list,
      el("div", { class: "row" },
        el("button", { class: "button", type: "button", onclick: () => choose(folderShown, true) }, words.openThisFolder),
        el("div", { class: "space" }),
        el("button", { class: "button", type: "button", onclick: () => dialog.close() }, words.cancel))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  enter(folderShown ?? startFolder);

  async function enter(folder) {
    try {
      const found = await server.folder(folder);
      folderShown = found.path;
      path.value = found.path;
      roots.replaceChildren(...found.roots.map(root => el("button", { class: "button small", type: "button", onclick: () => enter(root) }, root.split("/").pop() || root)));
      const line = (name, size, act) => el("li", {}, el("button", { type: "button", onclick: act }, el("span", { class: "name" }, name), el("span", { class: "size" }, size)));
      list.replaceChildren(
        ...(found.parent ? [line(`↑ ${words.folderUp}`, "", () => enter(found.parent))] : []),
        ...found.entries.map(entry => entry.kind === "folder" ? line(`${entry.name}/`, "", () => enter(entry.path)) : line(entry.name, bytes(entry.bytes), () => choose(entry.path, true))));
      if (!found.entries.length) list.append(el("li", { class: "hint", style: { padding: "12px" } }, words.emptyFolder));
      list.scrollTop = 0;
    } catch (error) { tell(error); }
  }
  async function choose(given, really = false) {
    try {
      const file = await server.open(given);
      if (file.kind === "folder" && !really) { enter(given); return; }
      dialog.close();
      opened(file);
    } catch (error) { tell(error); }
  }
}

export function acceptDrops(opened) {
  let depth = 0;
  addEventListener("dragenter", event => { depth += 1; document.body.classList.add("dropping"); event.preventDefault(); });
  addEventListener("dragleave", () => { depth -= 1; if (!depth) document.body.classList.remove("dropping"); });
  addEventListener("dragover", event => event.preventDefault());
  addEventListener("drop", async event => {
    event.preventDefault();
    depth = 0;
    document.body.classList.remove("dropping");
    const items = [...event.dataTransfer.items].filter(item => item.kind === "file"); // all at once: they are gone after an await
    const dropped = items.map(item => [item.webkitGetAsEntry?.(), item.getAsFile()]);
    for (const [entry, file] of dropped) await (entry?.isDirectory ? takeFolder(entry, opened) : take(file, opened));
  });
}

async function takeFolder(entry, opened) {
  try {
    const held = await new Promise((done, fail) => entry.createReader().readEntries(done, fail));
    if (!held.length) { say(words.folderIsEmpty(entry.name)); return; } // by its name alone it could be any
    const { path } = await server.locateFolder(entry.name, held.slice(0, 50).map(other => other.name), folderShown ?? undefined);
    if (path) opened(await server.open(path));
    else say(words.folderElsewhere(entry.name));
  } catch (error) { tell(error); }
}
// A page never learns a dropped file's path: the server looks for its name and size where files usually lie.
export async function take(file, opened) {
  try {
    const { path } = await server.locate(file.name, file.size, folderShown ?? undefined);
    if (path) { opened(await server.open(path)); return; }
    if (file.size > 2e9) { say(words.tooLarge); return; }
    opened(await server.upload(file, share => say(words.copying(file.name, share))));
  } catch (error) { tell(error); }
}
