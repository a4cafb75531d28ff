// Why: ask the door about the frame that is shown, and put the answer below the picture.

import { watch, word } from "/static/feed.js";
import { draw, drawAreas, drawBoxes, say, show } from "/static/picture.js";

const byId = (id) => document.getElementById(id);

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = byId("explain");
  if (button.disabled) return;
  button.disabled = true;
  byId("result").setAttribute("aria-busy", "true");
  if (!byId("result").children.length) {
    byId("result").append(Object.assign(document.createElement("p"), { textContent: word("explaining") }));
  }
  try {
    const body = new URLSearchParams(new FormData(byId("form")));
    const response = await fetch("/why/explain", { method: "POST", body });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const answer = page.getElementById("result") ?? page.getElementById("main");
    byId("result").replaceChildren(...answer.children);
    byId("result").scrollIntoView({ block: "nearest" });
  } catch {
    // The box is gone for a while: the picture says so.
  } finally {
    button.disabled = false;
    byId("result").removeAttribute("aria-busy");
  }
});

watch((decision, bitmap) => {
  draw(decision, bitmap);
  show(bitmap ? [...drawAreas(decision), ...drawBoxes(decision)] : []);
  byId("t").value = bitmap ? decision.t : "";
  for (const option of byId("stage-choice").options) {
    if (option.value === "expression") option.hidden = option.disabled = !decision.expression;
  }
}, (sentence) => {
  say(sentence, true);
  byId("t").value = "";
});
