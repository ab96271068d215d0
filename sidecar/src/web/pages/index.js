// Lists the live streams, refreshed regularly, and the planned events.

import { isRenditionOf } from "./renditions.js";
import { facts, t, viewers, when } from "./texts.js";

const list = document.getElementById("streams");
const none = document.getElementById("none");
const schedule = document.getElementById("schedule");
// Addresses of stills that do not exist, or that need a token.
const missing = new Set();
const lang = document.documentElement.lang;

function card(href, title, about, picture) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = href;
  const frame = document.createElement("span");
  frame.className = "picture";
  if (picture && !missing.has(picture)) {
    const image = document.createElement("img");
    image.alt = "";
    image.loading = "lazy";
    image.src = picture;
    image.addEventListener("error", () => {
      if (missing.size > 100) missing.clear();
      missing.add(picture);
      image.remove();
    });
    frame.append(image);
  }
  const name = document.createElement("strong");
  name.textContent = title;
  const facts = document.createElement("span");
  facts.className = "quiet";
  facts.textContent = about;
  link.append(frame, name, facts);
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
  const still = `stream/${stream.app}/${stream.name}/still.jpg?${Math.floor(Date.now() / 30000)}`;
  return card(page(stream, stream.name), event?.title ?? stream.name, size + viewers(count), still);
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
  } catch {
    // The next request may succeed.
  }
  setTimeout(refresh, 3000);
}

const coming = facts.events.filter((event) => Date.parse(event.start) > Date.now());
schedule.hidden = coming.length === 0;
document.getElementById("events").replaceChildren(...coming.map((event) =>
  card(page(event, event.stream), event.title, when(new Date(event.start)), event.poster)));
document.title = document.title || t("live_now");
refresh();
