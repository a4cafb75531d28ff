// Load a part of the page again while it is open and nobody is using it.

async function load(id, everyMs) {
  const here = document.getElementById(id);
  if (!document.hidden && !here.contains(document.activeElement)) {
    try {
      const response = await fetch(location.href, { cache: "no-cache" });
      if (response.ok) {
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const there = page.getElementById(id);
        if (there && here.innerHTML !== there.innerHTML) here.replaceChildren(...there.children);
      }
    } catch {
      // The box is gone for a while.
    }
  }
  setTimeout(load, everyMs, id, everyMs);
}

export function refresh(id, everyMs) {
  setTimeout(load, everyMs, id, everyMs);
}
