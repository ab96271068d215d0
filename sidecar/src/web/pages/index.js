// The live streams, asked for again and again.

const list = document.getElementById("streams");
const none = document.getElementById("none");

function entry(stream) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `watch/${stream.app}/${stream.name}`;
  link.textContent = stream.name;
  const about = document.createElement("span");
  const viewers = Object.values(stream.viewers).reduce((sum, count) => sum + count, 0);
  const size = stream.video?.height ? `${stream.video.height}p, ` : "";
  about.textContent = `${size}${viewers} ${viewers === 1 ? "viewer" : "viewers"}`;
  item.append(link, about);
  return item;
}

async function refresh() {
  try {
    const response = await fetch("v1/live", { cache: "no-store" });
    const { streams } = await response.json();
    list.replaceChildren(...streams.map(entry));
    none.hidden = streams.length > 0;
  } catch {
    // The next time may be better.
  }
  setTimeout(refresh, 3000);
}

refresh();
