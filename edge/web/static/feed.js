// The door's moments: ask for the next one when the last one has been shown.

const words = JSON.parse(document.getElementById("words").textContent);
const VERSION = 1;

export function word(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Wait while nobody looks at this tab: the door then need not send anything.
function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

// Call show(decision, bitmap or null) for each moment, and wait(sentence) while there is none.
export async function watch(show, wait) {
  let number = 0;
  for (;;) {
    await visible();
    let response;
    try {
      response = await fetch(`/live/next?after=${number}`, { cache: "no-store" });
      if (response.status === 200) {
        const { decision, bitmap } = await read(response);
        number = Number(response.headers.get("Doorlight-Number"));
        if (decision.version !== VERSION) wait(word("other_version"));
        else show(decision, bitmap);
        bitmap?.close();
        continue;
      }
    } catch {
      wait(word("page_lost"));
      await sleep(2000);
      continue;
    }
    if (response.status === 204) {
      wait(word(response.headers.get("Doorlight-State") === "off" ? "door_off" : "door_silent"));
    } else if (response.status === 401) {
      wait(word("locked"));
      return;
    } else {
      wait(word(response.status === 503 ? "full" : "page_lost"));
      await sleep(2000);
    }
  }
}

async function read(response) {
  const data = await response.arrayBuffer();
  const lengths = new DataView(data);
  const end = 8 + lengths.getUint32(0);
  const decision = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 8, end - 8)));
  const jpeg = new Blob([new Uint8Array(data, end, lengths.getUint32(4))], { type: "image/jpeg" });
  return { decision, bitmap: jpeg.size ? await createImageBitmap(jpeg) : null };
}
