"use strict";

// Builds the page: the stream's name, the player, the viewer's clock.

// Names that a stream can have. Other text must not become part of a URL.
const STREAM_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

const STATES = {
  waiting: { label: "Waiting", message: "Waiting for the stream..." },
  playing: { label: "Playing", message: "" },
  refused: { label: "Refused", message: "This link is not valid, or has expired. Ask for a new one." },
  lost: { label: "Lost", message: "Stream interrupted. Reconnecting..." },
};

const element = (id) => document.getElementById(id);

// The playlists of nginx. If the page has ?token=, the playlist is requested with it, and nginx adds it to each URI in the playlist.
function media(path) {
  const url = new URL(path, document.baseURI);
  const token = new URLSearchParams(location.search).get("token");
  if (token !== null) url.searchParams.set("token", token);
  return url.href;
}

// /?stream=NAME, or /#NAME.
function wantedStream() {
  return new URLSearchParams(location.search).get("stream") ?? location.hash.slice(1);
}

function askForStream(wrong) {
  element("choose").hidden = false;
  if (wrong === "") return;
  element("stream").value = wrong;
  element("choose-hint").classList.add("wrong");
  element("choose-hint").textContent = "A stream name contains letters, digits, dots, dashes and underscores. It does not start with a dot or a dash.";
}

function watchStream(name) {
  const video = element("video");
  // If `weir serve` runs, there are several renditions, and the player selects one for the viewer's bandwidth.
  const ladder = media(`ladder/live/${name}/master.m3u8`);
  const playlist = media(`hls/${name}.m3u8`);
  document.title = `${name} - Weir`;
  element("name").textContent = name;
  element("hls").href = playlist;
  element("dash").href = media(`dash/${name}.mpd`);
  element("watch").hidden = false;

  if (!LivePlayer.isSupported(video)) {
    element("message").textContent = "This browser cannot play HLS. Use a link below to open the stream in another player.";
    return;
  }

  const unmute = element("unmute");
  const showUnmute = () => {
    unmute.hidden = !video.muted || element("state").dataset.state !== "playing";
  };
  video.addEventListener("volumechange", showUnmute);
  unmute.addEventListener("click", () => {
    video.muted = false;
    video.play().catch(() => {});
  });

  const player = new LivePlayer(video, [ladder, playlist], (state) => {
    element("state").dataset.state = state;
    element("state").textContent = STATES[state].label;
    element("message").textContent = STATES[state].message;
    element("curtain").hidden = state === "playing";
    video.controls = state === "playing";
    showUnmute();
  });
  player.start();

  video.addEventListener("resize", () => {
    element("picture").textContent = video.videoWidth > 0 ? `${video.videoWidth} × ${video.videoHeight}` : "–";
  });
  setInterval(() => {
    const behind = player.behind();
    element("behind").textContent = behind === null ? "–" : `${behind.toFixed(1)} s`;
  }, 500);
  tick(element("clock"));
}

// Updated with each frame of the screen: otherwise it would lag behind the video that it is compared with.
function tick(clock) {
  clock.textContent = new Date().toISOString().slice(11, 23);
  requestAnimationFrame(() => tick(clock));
}

const stream = wantedStream();
if (STREAM_NAME.test(stream)) {
  watchStream(stream);
} else {
  askForStream(stream);
}
window.addEventListener("hashchange", () => location.reload());
