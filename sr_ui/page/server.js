// The server's API, as functions.
import { words } from "./strings.js";

export class Problem extends Error {
  constructor(message, hint) { super(message); this.hint = hint; }
}
async function ask(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw await problemOf(response);
  return response;
}
async function problemOf(response) {
  try {
    const found = await response.json();
    return new Problem(found.error, found.hint);
  } catch {
    return new Problem(words.answered(response.status), "");
  }
}
const json = async (...given) => (await ask(...given)).json();

export const server = {
  folder: path => json("POST", "/api/folder", { path }),
  open: path => json("POST", "/api/files", { path }),
  openAside: path => json("POST", "/api/files", { path, aside: true }), // a part of something else: not among the tabs
  locate: (name, size, folder) => json("POST", "/api/files/locate", folder ? { name, size, folder } : { name, size }),
  locateFolder: (name, holds, folder) => json("POST", "/api/files/locate", { name, size: 0, holds, ...(folder ? { folder } : {}) }),
  facts: id => json("GET", `/api/files/${id}`),
  close: id => json("DELETE", `/api/files/${id}`),
  strip: id => json("GET", `/api/files/${id}/strip`),
  stripPicture: (id, number) => `/api/files/${id}/strip/${number}`,
  sheetPicture: (id, number) => `/api/files/${id}/sheet/${number}`,
  estimate: (id, options) => json("POST", `/api/files/${id}/estimates`, options),
  clip: (id, options) => json("POST", `/api/files/${id}/clips`, options),
  clipState: id => json("GET", `/api/clips/${id}`),
  clipVideo: (id, side) => `/api/clips/${id}/${side}`,
  addJob: job => json("POST", "/api/jobs", job),
  change: (id, action, place) => json("POST", `/api/jobs/${id}`, place === undefined ? { action } : { action, place }),
  remove: id => json("DELETE", `/api/jobs/${id}`),
  log: id => json("GET", `/api/jobs/${id}/log`),
  reveal: id => json("POST", `/api/jobs/${id}/reveal`, {}),
  segments: id => json("GET", `/api/jobs/${id}/segments`),
  segmentVideo: (id, number) => `/api/jobs/${id}/segments/${number}`,
  // `fit`: no wider than so many pixels; else the whole
  async frame(id, { seconds, model, scale, strength = 1, sharpen = 0, grain = 0, fit }) {
    const query = new URLSearchParams({ seconds: seconds.toFixed(4), model, scale, ...(strength < 1 ? { strength } : {}), ...(sharpen ? { sharpen } : {}), ...(grain ? { grain } : {}), ...(fit ? { width: fit } : {}) });
    const response = await ask("GET", `/api/files/${id}/frame?${query}`);
    const [width, height] = response.headers.get("X-Size").split("x").map(Number);
    return {
      url: URL.createObjectURL(await response.blob()), width, height,
      seconds: Number(response.headers.get("X-Seconds")),
      engineSeconds: Number(response.headers.get("X-Engine-Seconds")),
    };
  },
  async upload(file, progress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("PUT", `/api/uploads?${new URLSearchParams({ name: file.name })}`);
      request.upload.onprogress = event => progress(event.loaded / event.total);
      request.onload = () => {
        let found = {};
        try { found = JSON.parse(request.responseText); } catch { /* said below */ }
        if (request.status === 201) resolve(found);
        else reject(new Problem(found.error ?? words.answered(request.status), found.hint ?? ""));
      };
      request.onerror = () => reject(new Problem(words.notSent, ""));
      request.send(file);
    });
  },
  follow(heard, lost) {
    const source = new EventSource("/api/events");
    source.onmessage = event => heard(JSON.parse(event.data));
    source.onerror = () => lost(source.readyState);
    return source;
  },
};
