// Draw a moment: the picture, and boxes, zone and areas over it.

import { word } from "/static/feed.js";

const SVG = "http://www.w3.org/2000/svg";
const stage = document.getElementById("stage");
const canvas = document.getElementById("picture");
const overlay = document.getElementById("overlay");
const note = document.getElementById("note");
let size = [640, 480];

export const pictureSize = () => size;

export function element(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// Without a picture the old one is hidden: nobody must take it for the present.
export function say(sentence, isStale) {
  if (note.textContent !== sentence) note.textContent = sentence;
  stage.classList.toggle("is-stale", isStale);
  if (isStale) overlay.replaceChildren();
}

export function draw(decision, bitmap, onSize = () => {}) {
  if (!bitmap) {
    say(decision.fault ?? word("no_picture"), true);
    return;
  }
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  if (size[0] !== bitmap.width || size[1] !== bitmap.height || !overlay.dataset.isSized) {
    size = [bitmap.width, bitmap.height];
    overlay.dataset.isSized = "yes";
    overlay.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    onSize(size);
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  say(decision.fault ?? "", false);
}

export const points = (corners) => corners.map(([x, y]) => `${x * size[0]},${y * size[1]}`).join(" ");

export function drawAreas(decision) {
  const nodes = decision.ignore.map((area) => element("polygon", { class: "ignore-area", points: points(area) }));
  if (decision.zone.length) nodes.push(element("polygon", { class: "zone-line", points: points(decision.zone) }));
  return nodes;
}

// Names come only with [people] page = "name".
export const knownText = (person) => person.name || word("known");

export function drawBoxes(decision) {
  const nodes = [];
  for (const box of decision.outside) nodes.push(...tagged(box, "outside", word("outside")));
  for (const person of decision.people) {
    const name = person.person ? `#${person.person} ` : "";
    const verdict = person.verdict === "unknown" && person.too_far ? "too_far" : person.verdict;
    const known = person.known ? `, ${knownText(person)}` : "";
    nodes.push(...tagged(person.box, person.verdict, name + word(verdict) + known));
  }
  return nodes;
}

function tagged([left, top, width, height], kind, text) {
  const [x, y, w, h] = [left * size[0], top * size[1], width * size[0], height * size[1]];
  const tagWidth = 12 + text.length * 10;
  const tagX = Math.max(0, Math.min(x, size[0] - tagWidth));
  const tagY = y >= 28 ? y - 28 : Math.min(y + h, size[1] - 26);
  return [
    element("rect", { class: `box box-${kind}`, x, y, width: w, height: h, rx: 4 }),
    element("rect", { class: `tag-ground-${kind}`, x: tagX, y: tagY, width: tagWidth, height: 26, rx: 4 }),
    element("text", { class: "tag", x: tagX + 6, y: tagY + 19, textLength: tagWidth - 12, lengthAdjust: "spacingAndGlyphs" }, text),
  ];
}

export const show = (nodes) => overlay.replaceChildren(...nodes);
