// The pictures of one moment: two on their way at a time, the latest moment first; older ones are let go.
import { server } from "./server.js";

const TOGETHER = 2;

export function createLayers(shown, failed) {
  let wanted = null, working = false;
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
    const coming = asked.map(() => null), layers = [];
    const begin = index => { if (index < asked.length && !wanted) { coming[index] = get(asked[index]); coming[index].catch(() => {}); } };
    for (let index = 0; index < TOGETHER; index += 1) begin(index);
    for (const index of asked.keys()) {
      if (!coming[index]) break;
      layers.push(await coming[index]);
      begin(index + TOGETHER);
      if (layers.length >= 2 || asked.length === 1) shown([...layers], layers.length < asked.length);
    }
  }
  async function get(part) {
    const frame = await server.frame(part.file, part);
    const image = new Image();
    image.src = frame.url;
    image.alt = part.name;
    image.draggable = false;
    try { await image.decode(); } finally { URL.revokeObjectURL(frame.url); }
    return {
      name: part.name, label: part.label, element: image, width: part.size?.[0] ?? frame.width, height: part.size?.[1] ?? frame.height,
      aspect: part.aspect, seconds: frame.seconds, engineSeconds: frame.engineSeconds, whole: [frame.width, frame.height],
    };
  }
  return { ask(parts) { wanted = parts; work(); } };
}
