// Set up: the areas as polygons on the picture, by pointer and by keyboard. The text fields are what counts.

import { watch, word } from "/static/feed.js";
import { draw, drawBoxes, element, pictureSize, points, say, show } from "/static/picture.js";

const byId = (id) => document.getElementById(id);
const editor = byId("editor");
const STEP = 0.005;
const LARGE_STEP = 0.05;

// areas[0] is the zone, which may be empty; the others are to be ignored.
let areas = read();
let chosen = { area: -1, corner: -1 };

function parse(line) {
  const corners = line.split(",").map((corner) => corner.trim().split(/\s+/).map(Number));
  return corners.every((corner) => corner.length === 2 && corner.every(Number.isFinite)) ? corners : [];
}

function read() {
  const lines = byId("ignore").value.split("\n").filter((line) => line.trim());
  return [parse(byId("zone").value), ...lines.map(parse)];
}

const format = (area) => area.map((corner) => corner.map((value) => +value.toFixed(3)).join(" ")).join(", ");

function changed() {
  byId("zone").value = format(areas[0]);
  byId("ignore").value = areas.slice(1).map(format).join("\n");
  render();
  ask();
}

let asking;
function ask() {
  clearTimeout(asking);
  asking = setTimeout(async () => {
    const body = new URLSearchParams(new FormData(byId("form")));
    const response = await fetch("/setup/lines", { method: "POST", body, headers: { Accept: "application/json" } });
    if (!response.ok) return;
    const { lines, problem } = await response.json();
    byId("lines").textContent = lines;
    byId("problem").textContent = problem;
  }, 200);
}

function title(k) {
  return k === 0 ? word("zone") : word("ignore", { n: k });
}

function label(k, c, [x, y]) {
  return word("corner", { area: title(k), n: c + 1, x: Math.round(100 * x), y: Math.round(100 * y) });
}

function render() {
  const [width, height] = pictureSize();
  const radius = Math.max(width, height) / 64;
  const polygons = [];
  const corners = [];
  areas.forEach((area, k) => {
    if (area.length < 1) return;
    const isChosen = k === chosen.area;
    const name = `area${k ? " area-ignore" : ""}${isChosen ? " is-chosen" : ""}`;
    polygons.push(element("polygon", { class: name, points: points(area), "data-area": k, "aria-hidden": "true" }));
    area.forEach(([x, y], c) => {
      corners.push(element("circle", {
        class: `corner${isChosen && c === chosen.corner ? " is-chosen" : ""}`, cx: x * width, cy: y * height, r: radius,
        tabindex: 0, role: "button", "aria-label": label(k, c, [x, y]), "data-area": k, "data-corner": c,
      }));
    });
  });
  const hadFocus = editor.contains(document.activeElement);
  editor.replaceChildren(...polygons, ...corners);
  if (hadFocus) focusChosen();
  byId("add-zone").disabled = areas[0].length > 0;
  byId("add-corner").disabled = byId("remove-area").disabled = chosen.area < 0;
  byId("remove-corner").disabled = chosen.corner < 0 || (areas[chosen.area] ?? []).length <= 3;
}

function focusChosen() {
  editor.querySelector(`[data-area="${chosen.area}"][data-corner="${chosen.corner}"]`)?.focus();
}

const clip = (value) => Math.min(1, Math.max(0, value));

function moveCorner(k, c, x, y) {
  areas[k][c] = [clip(x), clip(y)];
}

function moveArea(area, dx, dy) {
  const xs = area.map(([x]) => x);
  const ys = area.map(([, y]) => y);
  const right = Math.min(Math.max(dx, -Math.min(...xs)), 1 - Math.max(...xs));
  const down = Math.min(Math.max(dy, -Math.min(...ys)), 1 - Math.max(...ys));
  return area.map(([x, y]) => [x + right, y + down]);
}

function place(event) {
  const frame = editor.getBoundingClientRect();
  return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
}

let drag = null;

editor.addEventListener("pointerdown", (event) => {
  const target = event.target.closest("[data-area]");
  if (!target) {
    chosen = { area: -1, corner: -1 };
    render();
    return;
  }
  event.preventDefault();
  const area = Number(target.dataset.area);
  chosen = { area, corner: target.dataset.corner === undefined ? -1 : Number(target.dataset.corner) };
  drag = { from: place(event), area: areas[area] };
  editor.setPointerCapture(event.pointerId);
  render();
  focusChosen();
});

editor.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const [x, y] = place(event);
  if (chosen.corner >= 0) moveCorner(chosen.area, chosen.corner, x, y);
  else areas[chosen.area] = moveArea(drag.area, x - drag.from[0], y - drag.from[1]);
  changed();
});

for (const end of ["pointerup", "pointercancel"]) editor.addEventListener(end, () => { drag = null; });

editor.addEventListener("focusin", (event) => {
  const { area, corner } = event.target.dataset;
  if (corner === undefined || (Number(area) === chosen.area && Number(corner) === chosen.corner)) return;
  chosen = { area: Number(area), corner: Number(corner) };
  render();
});

editor.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (chosen.corner < 0) return;
  const step = steps[event.key];
  if (step) {
    const size = event.shiftKey ? LARGE_STEP : STEP;
    const [x, y] = areas[chosen.area][chosen.corner];
    moveCorner(chosen.area, chosen.corner, x + size * step[0], y + size * step[1]);
  } else if (event.key === "Delete") {
    removeCorner();
  } else {
    return;
  }
  event.preventDefault();
  changed();
});

function removeCorner() {
  const area = areas[chosen.area];
  if (area.length <= 3) return;
  area.splice(chosen.corner, 1);
  chosen.corner = Math.min(chosen.corner, area.length - 1);
}

// A new corner halves the longest side.
function addCorner() {
  const area = areas[chosen.area];
  const [width, height] = pictureSize();
  const lengths = area.map(([x, y], k) => {
    const [x2, y2] = area[(k + 1) % area.length];
    return Math.hypot((x2 - x) * width, (y2 - y) * height);
  });
  const k = lengths.indexOf(Math.max(...lengths));
  const [[x, y], [x2, y2]] = [area[k], area[(k + 1) % area.length]];
  area.splice(k + 1, 0, [(x + x2) / 2, (y + y2) / 2]);
  chosen.corner = k + 1;
}

function rectangle(left, top, right, bottom) {
  return [[left, top], [right, top], [right, bottom], [left, bottom]];
}

function act(id, change) {
  byId(id).addEventListener("click", () => {
    change();
    changed();
    focusChosen();
  });
}

act("add-zone", () => {
  areas[0] = rectangle(0.2, 0.1, 0.8, 0.95);
  chosen = { area: 0, corner: 0 };
});
act("add-ignore", () => {
  const shift = (0.06 * (areas.length - 1)) % 0.5;
  areas.push(rectangle(0.05 + shift, 0.05 + shift, 0.25 + shift, 0.35 + shift));
  chosen = { area: areas.length - 1, corner: 0 };
});
act("add-corner", addCorner);
act("remove-corner", removeCorner);
act("remove-area", () => {
  if (chosen.area === 0) areas[0] = [];
  else areas.splice(chosen.area, 1);
  chosen = { area: -1, corner: -1 };
});

for (const id of ["zone", "ignore"]) {
  byId(id).addEventListener("input", () => {
    areas = read();
    chosen = { area: -1, corner: -1 };
    render();
    ask();
  });
}

// Apply and undo are answered by a page.
byId("form").addEventListener("submit", (event) => {
  if (!event.submitter?.hasAttribute("formaction")) {
    event.preventDefault();
    ask();
  }
});

// The height of the smallest face that is judged, at the right edge of the picture.
function sizeLine(share) {
  const [width, height] = pictureSize();
  const [x, length] = [width - 24, share * height];
  const y = (height - length) / 2;
  const d = `M${x - 10} ${y}h20M${x} ${y}v${length}M${x - 10} ${y + length}h20`;
  return [
    element("path", { class: "size-ground", d }),
    element("path", { class: "size-line", d }),
    element("text", { class: "tag size-text", x: width - 8, y: y - 10, "text-anchor": "end" }, word("smallest")),
  ];
}

function showQuality(decision) {
  const quality = decision.quality;
  const severity = quality?.severity ?? "bad";
  byId("quality").className = `verdict verdict-${severity}`;
  const text = quality ? word(quality.result) : word("no_picture");
  if (byId("quality").textContent !== text) byId("quality").textContent = text;
  byId("quality-fix").textContent = quality?.fix ? `→ ${word(quality.fix)}` : "";
  byId("brightness").textContent = quality ? `${quality.brightness} / 255` : "–";
  byId("sharpness").textContent = quality ? quality.sharpness.toFixed(1) : "–";
  const pixels = decision.size ? ` (${Math.round(decision.min_face_height * decision.size[1])} px)` : "";
  byId("smallest").textContent = `${Math.round(100 * decision.min_face_height)} %${pixels}`;
}

byId("tools").hidden = byId("keys").hidden = false;
render();
ask();

watch((decision, bitmap) => {
  draw(decision, bitmap, ([width, height]) => {
    editor.setAttribute("viewBox", `0 0 ${width} ${height}`);
    render();
  });
  show(bitmap ? [...drawBoxes(decision), ...sizeLine(decision.min_face_height)] : []);
  showQuality(decision);
}, (sentence) => {
  say(sentence, true);
  byId("quality").textContent = "–";
});
