// The watch page and the embedded player: reads the address, starts the player, shows its state and reports it to an embedding
// page.

import { Edges } from "./edges.js";
import { WeirPlayer } from "./player.js";
import { facts, t } from "./texts.js";

const WORDS = {
  PENDING: t("waiting"),
  PLAYING: "",
  // The publisher may return; the watch page knows whether the stream has ended.
  STOPPED: t("offline"),
  FAILED: t("no_format"),
  NOT_ENOUGH_BANDWIDTH: t("slow"),
};

// Reasons that have their own text.
const REASONS = {
  "all servers are full": t("full"),
  "the link is not valid, or has expired": facts.invited ? t("refused") : t("members_only"),
};

const { root, app, name, order } = document.body.dataset;
const query = new URLSearchParams(location.search);
const video = document.getElementById("video");
const status = document.getElementById("status");
const unmute = document.getElementById("unmute");
const again = document.getElementById("again");
const isOn = (name) => !["0", "false"].includes(query.get(name));
const autoplay = isOn("autoplay");
video.muted = isOn("muted");
video.autoplay = autoplay;

const known = ["whep", "ws", "llhls", "hls"];
const wanted = (query.get("tech") ?? "").split(",").map((one) => one.trim()).filter((one) => known.includes(one));
const tech = wanted.length > 0 ? wanted : order.split(",");
const base = new URL(root, location.href).href.replace(/\/$/, "");
const edges = facts.edges ? new Edges(facts.edges) : null;
export const player = new WeirPlayer(video, { root: base, app, name, tech, autoplay, edges, token: query.get("token") });

function tell() {
  const { state, tech, latency } = player;
  Object.assign(document.body.dataset, { state, tech: tech ?? "", latency: latency?.toFixed(3) ?? "", edge: player.edge ?? "" });
  if (window.parent !== window) window.parent.postMessage({ source: "weir", app, name, state, tech, latency }, "*");
}

player.addEventListener("state", ({ detail }) => {
  const text = REASONS[detail.reason] ?? WORDS[detail.state];
  status.textContent = text;
  status.hidden = text === "";
  again.hidden = detail.state !== "FAILED";
  const offline = detail.reason === "the stream is not live";
  document.dispatchEvent(new CustomEvent("weir-state", { detail: { ...detail, offline, text } }));
  tell();
});
setInterval(tell, 500);

// The policy of this page does not include an edge that joined later; the policy of a reloaded page does. An edge's page is then
// loaded from the origin, because the edge itself has failed.
player.addEventListener("uncovered", () => {
  let last = 0;
  try {
    last = Number(sessionStorage.getItem("weir-loaded") ?? 0);
    sessionStorage.setItem("weir-loaded", Date.now());
  } catch {
    // This browser stores nothing for this page.
  }
  if (Date.now() - last < 10000) return;
  if (!edges.isEdge) return location.reload();
  const kind = document.body.classList.contains("alone") ? "embed" : "watch";
  const [ask] = facts.edges.ask;
  location.replace(`${ask.replace(/edge$/, kind)}/${app}/${name}${location.search}`);
});

again.addEventListener("click", () => {
  player.stop();
  player.start();
});
unmute.hidden = !video.muted;
unmute.addEventListener("click", () => {
  video.muted = false;
  unmute.hidden = true;
});
video.addEventListener("volumechange", () => (unmute.hidden = !video.muted));
// The other script of the page must add its listeners first.
document.addEventListener("DOMContentLoaded", () => player.start());
