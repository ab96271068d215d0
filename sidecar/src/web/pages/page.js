// The watch page and the embedded player: reads the address, starts the player, shows its state and tells it to a hosting page.

import { WeirPlayer } from "./player.js";

const WORDS = {
  PENDING: "Waiting for the stream",
  PLAYING: "",
  STOPPED: "The stream has ended",
  FAILED: "Not playing",
  NOT_ENOUGH_BANDWIDTH: "Your connection is too slow for this stream",
};

const { root, app, name, order } = document.body.dataset;
const query = new URLSearchParams(location.search);
const video = document.getElementById("video");
const status = document.getElementById("status");
const unmute = document.getElementById("unmute");
const autoplay = query.get("autoplay") !== "0";
video.muted = query.get("muted") !== "0";
video.autoplay = autoplay;

const tech = (query.get("tech") ?? order).split(",");
const base = new URL(root, location.href).href.replace(/\/$/, "");
const player = new WeirPlayer(video, { root: base, app, name, tech, autoplay, token: query.get("token") });

function tell() {
  const { state, tech, latency } = player;
  Object.assign(document.body.dataset, { state, tech: tech ?? "", latency: latency?.toFixed(3) ?? "" });
  if (window.parent !== window) window.parent.postMessage({ source: "weir", app, name, state, tech, latency }, "*");
}

player.addEventListener("state", ({ detail }) => {
  status.textContent = detail.state === "FAILED" && detail.reason ? `${WORDS.FAILED}: ${detail.reason}` : WORDS[detail.state];
  status.hidden = status.textContent === "";
  document.dispatchEvent(new CustomEvent("weir-state", { detail }));
  tell();
});
setInterval(tell, 500);

unmute.hidden = !video.muted;
unmute.addEventListener("click", () => {
  video.muted = false;
  unmute.hidden = true;
});
video.addEventListener("volumechange", () => (unmute.hidden = !video.muted));
player.start();
