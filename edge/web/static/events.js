// Events: load today's table again while the page is open; the server answers 304 while nothing happens.

const EVERY_MS = 5000;

async function refresh() {
  if (!document.hidden && !document.getElementById("events").contains(document.activeElement)) {
    try {
      const response = await fetch(location.href, { cache: "no-cache" });
      if (response.ok) {
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const [here, there] = [document.getElementById("events"), page.getElementById("events")];
        if (there && here.innerHTML !== there.innerHTML) here.replaceChildren(...there.children);
      }
    } catch {
      // The box is gone for a while.
    }
  }
  setTimeout(refresh, EVERY_MS);
}

setTimeout(refresh, EVERY_MS);
