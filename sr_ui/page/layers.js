// The pictures of one moment: asked for one after the other, the latest moment first; older ones are let go.
import { server } from "./server.js";

export function createLayers(shown, failed) {
  let wanted = null, working = false, urls = [];
  async function work() {
    if (working) return;
    working = true;
    while (wanted) {
      const asked = wanted;
      wanted = null;
      try { await make(asked); } catch (error) { if (!wanted) failed(error); }
    }
    working = false;
  }
  async function make(asked) {
    const layers = [], made = [];
    for (const part of asked) {
      const frame = await server.frame(part.file, part);
      const image = new Image();
      image.src = frame.url;
      image.alt = part.label;
      image.draggable = false;
      await image.decode();
      made.push(frame.url);
      layers.push({ name: part.name, label: part.label, element: image, width: part.width ?? frame.width, height: part.height ?? frame.height, aspect: part.aspect, seconds: frame.seconds, engineSeconds: frame.engineSeconds, pixels: [frame.width, frame.height] });
      if (wanted) break;
      if (layers.length >= 2 || asked.length === 1) shown([...layers], layers.length < asked.length);
    }
    urls.forEach(URL.revokeObjectURL);
    urls = made;
  }
  return { ask(parts) { wanted = parts; work(); } };
}
