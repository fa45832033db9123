// Keeps open pages up to date. The server says only what kind of thing changed; the part of the page is then asked for anew,
// in the viewer's own session, and put in place of the old one without moving the page or losing the focus. Without this
// script a page shows how things were when it was loaded.
"use strict";

(() => {
  const parts = [...document.querySelectorAll("[data-live]")];
  const status = document.getElementById("live-status");
  const voice = document.getElementById("live-voice");
  const title = document.title;
  const HIDDEN_MS = 30000;
  let source = null;
  let begun = false;
  let resting = null;

  const tell = (text) => {
    if (status && status.textContent !== text) status.textContent = text;
  };

  // What has the focus is found again by its id, or else the part itself takes it, so that nobody is thrown to the top.
  const swap = (part, html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    const active = document.activeElement;
    const held = active && part.contains(active) ? active.id : null;
    const isInside = active && part.contains(active);
    const open = new Set([...part.querySelectorAll("details[open]")].map((d) => d.id));
    const [x, y, was] = [window.scrollX, window.scrollY, part.getBoundingClientRect()];
    const before = said(part);
    part.replaceChildren(...fresh.childNodes);
    for (const details of part.querySelectorAll("details")) details.open = open.has(details.id);
    if (isInside) {
      const again = held && document.getElementById(held);
      if (!again) part.tabIndex = -1;
      (again || part).focus({ preventScroll: true });
    }
    // What is above the screen may grow; what is on it stays where it is.
    const grown = was.bottom <= 0 ? part.getBoundingClientRect().height - was.height : 0;
    window.scrollTo(x, y + grown);
    const now = said(part);
    if (voice && now && now !== before) voice.textContent = now;
    count();
  };

  const said = (part) => {
    const says = part.querySelector("[data-say]");
    return says ? says.dataset.say : "";
  };

  // How many wait, where a tab shows it.
  const count = () => {
    const counted = document.querySelector("[data-count]");
    if (counted) document.title = counted.dataset.count === "0" ? title : `(${counted.dataset.count}) ${title}`;
  };

  // One question at a time for each part; what changes meanwhile is one more question after it.
  const refresh = async (part) => {
    if (part.asking) {
      part.again = true;
      return;
    }
    part.asking = true;
    do {
      part.again = false;
      try {
        const answer = await fetch(part.dataset.live, { credentials: "same-origin", redirect: "manual", cache: "no-store" });
        if (answer.ok) swap(part, await answer.text());
        else if (answer.type === "opaqueredirect") tell("You are logged out. Load the page again to log in.");
        else tell("This page is not up to date. Load it again.");
      } catch {
        tell("The host can't be reached. Trying again.");
      }
    } while (part.again);
    part.asking = false;
  };

  const wants = (part, change) => {
    const isKind = (part.dataset.kinds || "").split(" ").includes(change.kind);
    return isKind && (!part.dataset.id || part.dataset.id === change.id);
  };

  const listen = () => {
    if (source) return;
    source = new EventSource("/live");
    source.addEventListener("hello", (event) => {
      tell("Live");
      for (const part of parts) {
        const version = part.querySelector("[data-version]");
        const isSame = !begun && version && version.dataset.version === event.data;
        if (!isSame) refresh(part);
      }
      begun = true;
    });
    source.addEventListener("change", (event) => {
      const change = JSON.parse(event.data);
      for (const part of parts) if (wants(part, change)) refresh(part);
    });
    source.addEventListener("behind", () => parts.forEach(refresh));
    source.addEventListener("error", () => {
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        tell("Live updates have ended. Load the page again.");
      } else {
        tell("The connection is lost. Trying again.");
      }
    });
  };

  // Browsers keep few connections to one host: a page that nobody looks at gives its own back after a while.
  document.addEventListener("visibilitychange", () => {
    clearTimeout(resting);
    if (document.visibilityState === "visible") {
      listen();
    } else {
      resting = setTimeout(() => {
        if (source) source.close();
        source = null;
      }, HIDDEN_MS);
    }
  });

  // What is left, by this browser's clock corrected by the server's as it was when the page came.
  const left = (ms) => {
    const s = Math.floor(ms / 1000);
    const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
    const two = (n) => String(n).padStart(2, "0");
    if (s < 60) return `${s} s`;
    if (s < 600) return `${m} min ${two(s % 60)} s`;
    if (s < 3600) return `${m} min`;
    if (s < 86400) return `${h} h ${two(m)} min`;
    return `${d} d ${h} h`;
  };
  const off = status && status.dataset.now ? Number(status.dataset.now) - Date.now() : 0;
  setInterval(() => {
    for (const time of document.querySelectorAll("time.countdown[data-until]")) {
      const ms = Number(time.dataset.until) - Date.now() - off;
      const text = ms > 0 ? `${left(ms)} left` : "time is over";
      if (time.textContent !== text) time.textContent = text;
    }
  }, 1000);

  count();
  if (parts.length > 0) listen();
})();
