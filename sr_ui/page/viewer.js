// Pictures (or videos) of one size over each other: a divider, zoom, pan, side by side. It imports nothing:
// `srkit compare` puts this very file into the page it writes.
//
// createViewer(words, zoomed) → { root, show(layers), pair(left, right), names(), fit(), setNote(text), moveTo(share), end() }
// A layer is { name, label, element, width, height }; element is an <img>, <canvas> or <video>, of as many pixels or,
// where only the fitted view is wanted, of fewer. `zoomed` is told when that changes.
const ZOOMS = ["fit", 1, 2];
const STEP = 0.02, FINE = 0.002;

export function createViewer(words, zoomed = () => {}) {
  const state = { layers: [], left: 0, right: 1, at: 0.5, zoom: "fit", x: 0.5, y: 0.5, grid: false };
  const root = make("section", { class: "viewer", "aria-label": words.look });
  const panes = make("div", { class: "panes" });
  const tools = make("div", { class: "tools" });
  const note = make("span", { class: "note", role: "status" });
  tools.append(note);
  root.append(panes, tools);
  const handle = make("div", { class: "handle", role: "slider", tabindex: "0", "aria-label": words.divider, "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "horizontal" });
  let observed = [];

  function make(tag, attributes, text) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text) node.textContent = text;
    return node;
  }
  function group(label, entries) {
    const node = make("div", { class: "group", role: "group", "aria-label": label });
    for (const [text, pressed, act] of entries) {
      const button = make("button", { type: "button", "aria-pressed": String(pressed) }, text);
      button.addEventListener("click", act);
      node.append(button);
    }
    return node;
  }
  const labelOf = index => state.layers[index]?.label ?? "";
  const ratio = () => window.devicePixelRatio || 1;

  // where the picture lies in a pane: { scale, left, top } in CSS pixels
  function place(pane) {
    const layer = state.layers[0];
    const width = pane.clientWidth, height = pane.clientHeight;
    const aspect = layer.aspect || 1;
    const fit = Math.min(width / (layer.width * aspect), height / layer.height);
    const scale = state.zoom === "fit" ? fit : state.zoom / ratio();
    const shown = [layer.width * aspect * scale, layer.height * scale];
    const offset = (room, size, middle) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, room / 2 - middle * size)));
    return { scale, aspect, shown, left: offset(width, shown[0], state.x), top: offset(height, shown[1], state.y) };
  }
  function lay(pane, indexes) {
    const where = place(pane);
    for (const index of indexes) {
      const layer = state.layers[index], node = layer.element;
      const across = where.shown[0] / layer.width, down = where.shown[1] / layer.height;
      node.style.width = `${layer.width}px`;
      node.style.height = `${layer.height}px`;
      node.style.transform = `translate(${where.left}px, ${where.top}px) scale(${across}, ${down})`;
      node.classList.toggle("crisp", down * ratio() >= 1.5);
      node.style.clipPath = "none";
    }
    return where;
  }
  function draw() {
    if (!state.layers.length) return;
    root.classList.toggle("fits", state.zoom === "fit" && !state.grid);
    root.classList.toggle("gridded", state.grid);
    if (state.grid) {
      [...panes.children].forEach((pane, index) => lay(pane, [index]));
      return;
    }
    const pane = panes.firstChild;
    if (state.layers.length < 2) { lay(pane, [0]); return; }
    const where = lay(pane, [...new Set([state.left, state.right])]);
    const edge = state.at * pane.clientWidth;
    const inLayer = Math.min(1, Math.max(0, (edge - where.left) / where.shown[0])) * state.layers[state.left].width;
    const node = state.layers[state.left].element;
    node.style.clipPath = `inset(0 ${state.layers[state.left].width - inLayer}px 0 0)`;
    handle.style.left = `${state.at * 100}%`;
    handle.setAttribute("aria-valuenow", Math.round(state.at * 100));
    handle.setAttribute("aria-valuetext", `${Math.round(state.at * 100)}% ${labelOf(state.left)}`);
  }
  function build() {
    const focused = root.contains(document.activeElement) ? document.activeElement : null;
    const pressed = focused?.textContent, wasHandle = focused === handle;
    panes.replaceChildren();
    observed.forEach(pane => sizes.unobserve(pane));
    observed = [];
    const count = state.layers.length;
    if (state.grid && count > 1) {
      const isWide = panes.clientWidth > panes.clientHeight;
      const columns = isWide && count !== 4 ? Math.min(count, 3) : 2;
      panes.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
      state.layers.forEach((layer, index) => addPane([index]));
    } else {
      panes.style.gridTemplateColumns = "minmax(0, 1fr)";
      const pane = addPane(count > 1 ? [state.right, state.left] : [0]);
      if (count > 1) {
        const pairTag = make("span", { class: "tag right" }, labelOf(state.right));
        pane.append(pairTag, handle);
      }
    }
    tools.replaceChildren(...toolsNow(), note);
    if (wasHandle) handle.focus();
    else if (pressed) [...tools.querySelectorAll("button")].find(button => button.textContent === pressed)?.focus();
    draw();
  }
  function addPane(indexes) {
    const pane = make("div", { class: "pane" });
    for (const index of new Set(indexes)) {
      state.layers[index].element.classList.add("layer");
      pane.append(state.layers[index].element);
    }
    const tagged = state.grid ? indexes[0] : indexes.at(-1);
    if (state.layers.length) pane.append(make("span", { class: "tag left" }, labelOf(tagged)));
    panes.append(pane);
    sizes.observe(pane);
    observed.push(pane);
    return pane;
  }
  function toolsNow() {
    const found = [group(words.zoom ?? "Zoom", ZOOMS.map(zoom => [zoom === "fit" ? words.fit : words[zoom === 1 ? "one" : "two"], state.zoom === zoom, () => setZoom(zoom)]))];
    if (state.layers.length > 1) {
      found.push(group(words.slider, [[words.slider, !state.grid, () => setGrid(false)], [words.grid, state.grid, () => setGrid(true)]]));
      if (!state.grid) {
        found.push(group(words.right, state.layers.map((layer, index) => [layer.name, index === state.right, () => pair(index === state.left ? state.right : state.left, index)])));
        found.push(group(words.swap, [[words.swap, false, swap]]));
      }
    }
    return found;
  }
  function setZoom(zoom) {
    const was = state.zoom;
    state.zoom = zoom;
    build();
    if ((was === "fit") !== (zoom === "fit")) zoomed();
  }
  function setGrid(grid) { state.grid = grid; build(); }
  function swap() { pair(state.right, state.left); }
  function pair(left, right) { state.left = left; state.right = right; build(); }
  function moveTo(at) { state.at = Math.min(1, Math.max(0, at)); draw(); }

  const sizes = new ResizeObserver(() => draw());
  handle.addEventListener("keydown", event => {
    const step = event.shiftKey ? FINE : STEP;
    const to = { ArrowLeft: state.at - step, ArrowRight: state.at + step, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    moveTo(to);
    event.preventDefault();
    event.stopPropagation();
  });
  let held = null;
  panes.addEventListener("pointerdown", event => {
    if (!state.layers.length || event.button) return;
    const pane = event.target.closest(".pane");
    if (!pane) return;
    const slides = !state.grid && state.layers.length > 1 && (event.target === handle || state.zoom === "fit");
    held = { slides, pane, x: event.clientX, y: event.clientY, from: [state.x, state.y] };
    panes.setPointerCapture(event.pointerId);
    pane.classList.toggle("held", !slides);
    if (slides) { slide(event); handle.focus({ preventScroll: true }); }
    event.preventDefault();
  });
  const slide = event => {
    const box = held.pane.getBoundingClientRect();
    moveTo((event.clientX - box.left) / box.width);
  };
  panes.addEventListener("pointermove", event => {
    if (!held) return;
    if (held.slides) { slide(event); return; }
    const { shown } = place(held.pane);
    const bounded = value => Math.min(1, Math.max(0, value));
    state.x = bounded(held.from[0] - (event.clientX - held.x) / shown[0]);
    state.y = bounded(held.from[1] - (event.clientY - held.y) / shown[1]);
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) panes.addEventListener(name, () => { held?.pane.classList.remove("held"); held = null; });
  panes.addEventListener("dblclick", () => setZoom(state.zoom === "fit" ? 1 : "fit"));

  function key(event) {
    if (!root.isConnected || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || !state.layers.length) return;
    const digit = Number(event.key) - 1;
    if (event.key === "x") swap();
    else if (event.key === "z") setZoom(ZOOMS[(ZOOMS.indexOf(state.zoom) + 1) % ZOOMS.length]);
    else if (event.key === "f") setZoom("fit");
    else if (event.key === "g" && state.layers.length > 1) setGrid(!state.grid);
    else if (event.key === "ArrowLeft" && state.layers.length > 1) moveTo(state.at - STEP);
    else if (event.key === "ArrowRight" && state.layers.length > 1) moveTo(state.at + STEP);
    else if (digit >= 0 && digit < state.layers.length && state.layers.length > 1) pair(digit === state.left ? state.right : state.left, digit);
    else return;
    event.preventDefault();
  }
  document.addEventListener("keydown", key);

  return {
    root,
    // the pair that was chosen stays, by name; `wanted` takes the right side once it is there
    show(layers, wanted) {
      let [left, right] = [state.layers[state.left]?.name, state.layers[state.right]?.name];
      if (wanted !== right && layers.some(layer => layer.name === wanted)) [left, right] = [left === wanted ? right : left, wanted];
      state.layers = layers;
      const found = name => layers.findIndex(layer => layer.name === name);
      state.left = Math.max(0, found(left));
      state.right = found(right) < 0 || found(right) === state.left ? layers.findIndex((_, index) => index !== state.left) : found(right);
      if (state.right < 0) state.right = 0;
      build();
    },
    pair(left, right) {
      const index = name => state.layers.findIndex(layer => layer.name === name);
      if (index(left) >= 0 && index(right) >= 0) pair(index(left), index(right));
    },
    names: () => [state.left, state.right].map(index => state.layers[index]?.name).filter(Boolean), // of the pair
    // pixels of the screen across, where the whole is fitted to it; else nothing
    fit: () => (state.zoom === "fit" ? Math.ceil(((panes.clientWidth || 1280) * ratio()) / 64) * 64 : undefined),
    setNote(text) { note.textContent = text; },
    moveTo,
    end() { document.removeEventListener("keydown", key); sizes.disconnect(); },
  };
}
