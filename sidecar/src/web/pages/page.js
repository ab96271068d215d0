// The watch page and the embedded player: reads the address, starts the player, shows its state and tells it to a hosting page.

import { WeirPlayer } from "./player.js";
import { t } from "./texts.js";

const WORDS = {
  PENDING: t("waiting"),
  PLAYING: "",
  STOPPED: t("ended"),
  FAILED: t("failed"),
  NOT_ENOUGH_BANDWIDTH: t("slow"),
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
export const player = new WeirPlayer(video, { root: base, app, name, tech, autoplay, token: query.get("token") });

function tell() {
  const { state, tech, latency } = player;
  Object.assign(document.body.dataset, { state, tech: tech ?? "", latency: latency?.toFixed(3) ?? "" });
  if (window.parent !== window) window.parent.postMessage({ source: "weir", app, name, state, tech, latency }, "*");
}

player.addEventListener("state", ({ detail }) => {
  const isFailed = detail.state === "FAILED" && detail.reason;
  status.textContent = isFailed ? t("failed", { reason: detail.reason }) : WORDS[detail.state];
  status.hidden = status.textContent === "";
  const offline = detail.reason === "the stream is not live";
  document.dispatchEvent(new CustomEvent("weir-state", { detail: { ...detail, offline } }));
  tell();
});
setInterval(tell, 500);

unmute.hidden = !video.muted;
unmute.addEventListener("click", () => {
  video.muted = false;
  unmute.hidden = true;
});
video.addEventListener("volumechange", () => (unmute.hidden = !video.muted));
// After the other scripts of the page, which listen.
setTimeout(() => player.start());
