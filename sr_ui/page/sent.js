// The page that `srkit compare` writes: the viewer, the moments, what each file is. Follows strings.js and
// viewer.js in one script, without imports.
const found = JSON.parse(document.getElementById("found").textContent);
const viewer = createViewer(words);
const node = (tag, attributes, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const clockOf = seconds => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;
const choices = node("div", { class: "moments", role: "group", "aria-label": words.time });
let turn = 0;

async function showMoment(index) {
  const mine = ++turn, moment = found.moments[index];
  [...choices.children].forEach((button, number) => button.setAttribute("aria-pressed", String(number === index)));
  const layers = found.names.map((name, number) => {
    const element = node("img", { alt: name });
    element.src = moment.pictures[number];
    return { name, label: name, element, width: moment.size[0], height: moment.size[1] };
  });
  await Promise.all(layers.map(layer => layer.element.decode()));
  if (mine === turn) viewer.show(layers);
}

found.moments.forEach((moment, index) => {
  if (found.moments.length < 2) return;
  const button = node("button", { type: "button", "aria-pressed": "false" }, node("img", { src: moment.pictures.at(-1), alt: "" }), clockOf(moment.seconds));
  button.addEventListener("click", () => showMoment(index));
  choices.append(button);
});
const table = node("table", {}, node("caption", {}, words.facts), ...found.facts.map(([name, facts]) => node("tr", {}, node("th", { scope: "row" }, name), node("td", {}, facts.join(" · ")))));
document.getElementById("main").append(node("section", { class: "sent" }, node("h1", {}, found.title), viewer.root, choices, table, node("p", { class: "hint" }, words.keys)));
showMoment(0);
