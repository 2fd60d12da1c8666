// What has to be said once, to everyone: read aloud, shown, gone.
import { el } from "./dom.js";
let timer = 0;
export function say(text, hint = "") {
  const place = document.getElementById("said");
  place.replaceChildren(el("div", {}, text, hint ? el("small", {}, hint) : null));
  clearTimeout(timer);
  timer = setTimeout(() => place.replaceChildren(), hint ? 12000 : 5000);
}
export const tell = error => { if (error?.name !== "AbortError") say(error.message, error.hint); };
export const problem = error => el("div", { class: "problem", role: "alert" }, error.message, error.hint ? el("small", {}, error.hint) : null);
