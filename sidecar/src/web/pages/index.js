// Lists the live streams, refreshed regularly, and the planned events.

import { isRenditionOf } from "./renditions.js";
import { facts, startText, t, viewers } from "./texts.js";

const list = document.getElementById("streams");
const none = document.getElementById("none");
const schedule = document.getElementById("schedule");
const events = document.getElementById("events");
// Streams that were live since the page was opened, with the last time.
const seen = new Map();
// Addresses of stills that do not exist, and the streams whose still this viewer may not see.
const missing = new Set();
const lang = document.documentElement.lang;

// `key` is remembered if there is no such picture.
function card(href, title, about, picture, key = picture) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = href;
  if (picture && !missing.has(key)) {
    const frame = document.createElement("span");
    frame.className = "picture";
    const image = document.createElement("img");
    image.alt = "";
    image.loading = "lazy";
    image.src = picture;
    image.addEventListener("error", () => {
      if (missing.size > 100) missing.clear();
      missing.add(key);
      frame.remove();
    });
    frame.append(image);
    link.append(frame);
  }
  const name = document.createElement("strong");
  name.textContent = title;
  const facts = document.createElement("span");
  facts.className = "quiet";
  facts.textContent = about;
  link.append(name, facts);
  item.append(link);
  return item;
}

function page(stream, name) {
  return `watch/${stream.app}/${name}?lang=${lang}`;
}

// A stream that starts on demand has no image: requesting one would start it.
function waiting(stream) {
  return card(page(stream, stream.name), stream.name, "", null);
}

// A rendition has no card: its viewers count for its source.
const isOf = (other, stream) => other === stream || isRenditionOf(other, stream);

function live(stream, all) {
  const counts = all.filter((other) => isOf(other, stream)).flatMap(({ viewers }) => Object.values(viewers));
  const count = counts.reduce((sum, count) => sum + count, 0);
  const size = stream.video?.height ? `${stream.video.height}p, ` : "";
  const event = facts.events.find((event) => event.app === stream.app && event.stream === stream.name && Date.parse(event.start) <= Date.now());
  const path = `stream/${stream.app}/${stream.name}/still.jpg`;
  const still = `${path}?${Math.floor(Date.now() / 30000)}`;
  const about = size + viewers(count) + (stream.protected ? `. ${t("only_link")}` : "");
  return card(page(stream, stream.name), event?.title ?? stream.name, about, still, stream.protected ? path : still);
}

async function refresh() {
  try {
    const response = await fetch("v1/live", { cache: "no-store" });
    const { streams: all, on_demand: others } = await response.json();
    const streams = all.filter((one) => one.kind !== "rendition" && !all.some((stream) => isRenditionOf(one, stream)));
    // The list is replaced only if it changed, so that nobody loses the focus.
    const shown = JSON.stringify([all, others]);
    if (shown !== list.dataset.shown) list.replaceChildren(...streams.map((stream) => live(stream, all)), ...others.map(waiting));
    list.dataset.shown = shown;
    none.hidden = streams.length + others.length > 0;
    for (const one of [...streams, ...others]) seen.set(`${one.app}/${one.name}`, Date.now());
  } catch {
    // The next request may succeed.
  }
  showComing();
  setTimeout(refresh, 3000);
}

// The publisher of a running event was lost before this page was opened, and may return.
const isLost = (event) => event.was_live && event.last_end === "disconnected";

// An event whose publisher is late stays in the list until its stream was live, before or after this page was loaded, or the event is over.
function isComing(event) {
  const [start, end] = [Date.parse(event.start), Date.parse(event.end)];
  if (start > Date.now()) return true;
  return end > Date.now() && !(seen.get(`${event.app}/${event.stream}`) >= start) && (!event.was_live || isLost(event));
}

function showComing() {
  const coming = facts.events.filter(isComing).map((event) => {
    const about = isLost(event) ? t("interrupted") : startText(event);
    return [event, about + (event.protected ? `${about.endsWith(".") ? "" : "."} ${t("only_link")}` : "")];
  });
  const shown = JSON.stringify(coming);
  if (shown === events.dataset.shown) return;
  schedule.hidden = coming.length === 0;
  events.replaceChildren(...coming.map(([event, about]) => card(page(event, event.stream), event.title, about, event.poster)));
  events.dataset.shown = shown;
}

document.title = document.title || t("live_now");
refresh();
