// Live: picture, lights, people.

import { watch, word } from "/static/feed.js";
import { draw, drawAreas, drawBoxes, knownText, say, show } from "/static/picture.js";

const byId = (id) => document.getElementById(id);

// Change a text only if it differs: screen readers read what changes.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function lamp(id, state) {
  byId(id).dataset.lit = state;
  write(byId(id).querySelector("[data-state]"), word(state));
}

// A silenced buzzer is worth a word before there is an alarm.
function buzzerText(decision) {
  const until = decision.silenced_until;
  if (!until || decision.lights.buzzer === "none") return word(decision.lights.buzzer);
  const options = { hour: "2-digit", minute: "2-digit" };
  return word("silenced", { time: new Date(until).toLocaleTimeString(document.documentElement.lang, options) });
}

function meaning(decision) {
  const isUndecided = decision.signal === "IDLE" && decision.people.length > 0;
  return word(isUndecided ? "undecided" : decision.signal);
}

function showLights(decision) {
  lamp("green", decision.lights.green);
  lamp("red", decision.lights.red);
  write(byId("buzzer"), buzzerText(decision));
  write(byId("signal-name"), decision.signal);
  write(byId("signal-meaning"), meaning(decision));
  byId("fault").hidden = !decision.fault;
  write(byId("fault"), decision.fault ?? "");
}

const cards = new Map();

function card(track) {
  let node = cards.get(track);
  if (!node) {
    node = document.createElement("li");
    node.innerHTML = '<div class="person-head"><span></span><span></span></div><div class="bar-text"></div>'
      + '<div class="bar" aria-hidden="true"><span></span></div><div class="person-next"></div>';
    cards.set(track, node);
    byId("people").append(node);
  }
  return node;
}

function who(person) {
  const number = person.person ? word("person", { n: person.person }) : word("new_person");
  return person.known ? `${number}, ${knownText(person)}` : number;
}

function nextText(person) {
  const parts = [];
  if (person.next) {
    const seconds = person.next_s === null ? null : person.next_s.toFixed(1);
    parts.push(seconds === null ? word("verdict_open") : word(person.next, { s: seconds }));
  }
  const agitation = person.above_mask ? "agitation_above_mask" : "agitation_share";
  if (person.agitation !== null) parts.push(word(agitation, { p: Math.round(100 * person.agitation) }));
  return parts.join(" · ");
}

function showPeople(people) {
  const present = new Set(people.map((person) => person.track));
  for (const [track, node] of cards) {
    if (!present.has(track)) {
      node.remove();
      cards.delete(track);
    }
  }
  for (const person of people) {
    const node = card(person.track);
    node.className = `person person-${person.verdict}`;
    const [head, text, bar, next] = node.children;
    write(head.children[0], who(person));
    const verdict = person.verdict === "unknown" && person.too_far ? "too_far" : person.verdict;
    write(head.children[1], person.agitated ? `${word(verdict)}, ${word("agitated")}` : word(verdict));
    const share = person.evidence === null ? null : Math.round(100 * person.evidence);
    write(text, share === null ? "" : word("evidence", { p: share }));
    bar.firstChild.style.width = `${share ?? 0}%`;
    write(next, nextText(person));
  }
  byId("nobody").hidden = people.length > 0;
}

function showFacts(decision) {
  write(byId("rate"), decision.frame_rate ? decision.frame_rate.toFixed(1) : "–");
  write(byId("runs-on"), decision.runs_on);
  write(byId("source"), decision.source);
  write(byId("faces"), word(decision.faces_hidden ? "faces_hidden" : "faces_shown"));
  byId("problems").replaceChildren(
    ...decision.problems.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
  );
}

function clear(sentence) {
  say(sentence, true);
  for (const id of ["green", "red"]) lamp(id, "off");
  for (const id of ["signal-name", "buzzer", "rate", "runs-on", "source", "faces"]) write(byId(id), "–");
  write(byId("signal-meaning"), "");
  byId("fault").hidden = true;
  byId("problems").replaceChildren();
  showPeople([]);
}

watch((decision, bitmap) => {
  draw(decision, bitmap);
  show(bitmap ? [...drawAreas(decision), ...drawBoxes(decision)] : []);
  showLights(decision);
  showPeople(decision.people);
  showFacts(decision);
}, clear);
