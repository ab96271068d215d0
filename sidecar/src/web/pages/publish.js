// Publishes from this browser over WebRTC (WHIP). The stream key is sent in a header, never in an address.
//
// States: ESTABLISHED (connected, media will follow), PUBLISHING, UNPUBLISHED (ended by the user), DISCONNECTED (the connection is
// lost; the page retries), FAILED (refused, or no camera).

import { connect } from "./player.js";
import { t } from "./texts.js";

const WORDS = {
  CONNECTING: t("publish_connecting"),
  ESTABLISHED: t("publish_established"),
  PUBLISHING: t("publish_on_air"),
  UNPUBLISHED: t("publish_off_air"),
  DISCONNECTED: t("publish_disconnected"),
  FAILED: t("publish_failed"),
};
const RETRY_MS = 2000;
const MOST_RETRIES = 5;
// Factor by which the level meter's peak decays per tenth of a second.
const LEVEL_DECAY = 0.8;

const field = (id) => document.getElementById(id);
const base = new URL(document.body.dataset.root, location.href).href.replace(/\/$/, "");
const query = new URLSearchParams(location.search);
field("app").value = query.get("app") ?? "live";
field("name").value = query.get("name") ?? "";

let media = null;
let session = null;
let meter = null;
let retries = 0;

function enter(state, reason = "") {
  document.body.dataset.state = state;
  delete document.body.dataset.warning;
  field("state").textContent = reason ? `${WORDS[state]}: ${reason}` : WORDS[state];
  const isOn = ["CONNECTING", "ESTABLISHED", "PUBLISHING", "DISCONNECTED"].includes(state);
  field("start").hidden = isOn;
  field("stop").hidden = !isOn;
  for (const input of field("form").querySelectorAll("select, input")) input.disabled = isOn;
  document.dispatchEvent(new CustomEvent("weir-state", { detail: { state, reason } }));
}

// Lists the devices; browsers give their names only after permission.
async function list() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const [id, kind] of [["camera", "videoinput"], ["microphone", "audioinput"]]) {
    const select = field(id);
    const chosen = select.value;
    const options = devices.filter((device) => device.kind === kind && device.deviceId).map((device, index) => {
      const option = new Option(device.label || `${t(`publish_${id}`)} ${index + 1}`, device.deviceId);
      option.selected = device.deviceId === chosen;
      return option;
    });
    select.replaceChildren(...(options.length > 0 ? options : [new Option(t("publish_default"), "")]));
  }
}

async function capture() {
  const source = field("source").value;
  const device = (id) => (field(id).value ? { deviceId: { exact: field(id).value } } : {});
  const audio = { ...device("microphone"), echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const size = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
  if (source === "screen") {
    const screen = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 30, max: 30 } } });
    const sound = await navigator.mediaDevices.getUserMedia({ audio });
    return new MediaStream([...screen.getVideoTracks(), ...sound.getAudioTracks()]);
  }
  const video = source === "camera" ? { ...device("camera"), ...size } : false;
  return navigator.mediaDevices.getUserMedia({ audio, video });
}

// The key may belong to a stream other than the named one: nginx publishes the stream of the key.
async function checkName(own) {
  const [app, name] = [field("app").value.trim(), field("name").value.trim()];
  for (let tries = 0; tries < 10; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if (own !== session || document.body.dataset.state !== "PUBLISHING") return;
    const { streams } = await (await fetch(`${base}/v1/live`, { cache: "no-store" })).json();
    if (streams.some((stream) => stream.app === app && stream.name === name)) return;
  }
  document.body.dataset.warning = "other_stream";
  field("state").textContent = t("publish_other_stream", { stream: `${app}/${name}` });
}

// Shows a preview before publishing.
async function look() {
  if (media) return;
  try {
    media = await capture();
    await list();
    show(media);
  } catch {
    // The browser asks again, with the reason, when the user starts to publish.
  }
}

function show(stream) {
  field("preview").srcObject = stream;
  field("look").hidden = true;
  meter?.context.close();
  meter = null;
  if (stream.getAudioTracks().length === 0) return;
  const context = new AudioContext();
  context.resume().catch(() => {});
  const analyser = context.createAnalyser();
  // The window is longer than the interval between two reads, so that no beep is missed.
  analyser.fftSize = 8192;
  context.createMediaStreamSource(stream).connect(analyser);
  meter = { context, analyser, samples: new Float32Array(analyser.fftSize) };
}

function release() {
  for (const track of media?.getTracks() ?? []) track.stop();
  media = null;
  field("preview").srcObject = null;
  field("look").hidden = false;
  meter?.context.close();
  meter = null;
}

class Session {
  peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  location = null;
  bytes = 0;
  at = 0;
  ended = false;

  async begin(stream, key) {
    for (const track of stream.getTracks()) {
      const transceiver = this.peer.addTransceiver(track, { direction: "sendonly", streams: [stream] });
      const codecs = RTCRtpSender.getCapabilities(track.kind)?.codecs ?? [];
      const wanted = codecs.filter((codec) => /h264|opus|rtx/i.test(codec.mimeType));
      if (wanted.length > 0) transceiver.setCodecPreferences?.(wanted);
    }
    this.peer.addEventListener("connectionstatechange", () => this.changed());
    const offer = await this.peer.createOffer();
    offer.sdp = offer.sdp.replace(/useinbandfec=1/g, "useinbandfec=1;stereo=1");
    const headers = { "Content-Type": "application/sdp" };
    // A header carries no other characters; the server knows those of a key.
    if (/[^\x21-\x7e]/.test(key)) throw Object.assign(new Error("the key has a character that no stream key has"), { isFinal: true });
    if (key) headers.Authorization = `Bearer ${key}`;
    const [app, name] = [field("app").value.trim(), field("name").value.trim()];
    const url = `${base}/stream/${app.split("/").map(encodeURIComponent).join("/")}/${encodeURIComponent(name)}/whip`;
    const response = await fetch(url, { method: "POST", headers, body: offer.sdp });
    if (response.status !== 201) {
      const answer = await response.json().catch(() => null);
      const error = new Error(answer?.error?.message ?? `the server answered ${response.status}`);
      // After a lost connection, the server may still hold the earlier session.
      error.isFinal = response.status < 500 && (response.status !== 409 || retries === 0);
      throw error;
    }
    this.location = new URL(response.headers.get("Location"), url).href;
    if (this.ended) return this.end();
    await connect(this.peer, offer, response);
  }

  changed() {
    if (this.ended || this !== session) return;
    const state = this.peer.connectionState;
    if (state === "connected") {
      enter("ESTABLISHED");
    } else if (["disconnected", "failed", "closed"].includes(state)) {
      again();
    }
  }

  // Measures the outgoing media.
  async watch() {
    // The server has closed the connection, which some browsers report nowhere else.
    const isClosed = ({ transport }) => ["closed", "failed"].includes(transport?.state);
    if (this === session && this.peer.getSenders().some(isClosed)) return again();
    let [bytes, frames, encoded, lost] = [0, 0, 0, 0];
    for (const report of (await this.peer.getStats()).values()) {
      if (report.type === "outbound-rtp") {
        bytes += report.bytesSent;
        encoded += report.framesEncoded ?? 0;
      }
      if (report.type === "media-source" && report.kind === "video") frames = report.frames ?? 0;
      if (report.type === "remote-inbound-rtp") lost += Math.max(0, report.packetsLost ?? 0);
    }
    const now = performance.now();
    const rate = this.at > 0 ? ((bytes - this.bytes) * 8) / (now - this.at) : 0;
    if (bytes > this.bytes && document.body.dataset.state === "ESTABLISHED") {
      retries = 0;
      enter("PUBLISHING");
      checkName(this).catch(() => {});
    }
    [this.bytes, this.at] = [bytes, now];
    field("rate").textContent = `${Math.round(rate)} kbit/s`;
    field("frames").textContent = encoded;
    field("dropped").textContent = Math.max(0, frames - encoded);
    field("lost").textContent = lost;
  }

  end() {
    this.ended = true;
    this.peer.close();
    if (this.location) fetch(this.location, { method: "DELETE", keepalive: true }).catch(() => {});
    this.location = null;
  }
}

async function begin() {
  session?.end();
  const own = new Session();
  session = own;
  try {
    await own.begin(media, field("key").value.trim());
  } catch (error) {
    if (own !== session || own.ended) return;
    own.end();
    if (error.isFinal || retries >= MOST_RETRIES) {
      release();
      enter("FAILED", error.message);
    } else {
      again();
    }
  }
}

function again() {
  session?.end();
  if (retries >= MOST_RETRIES) {
    release();
    return enter("FAILED", "the server cannot be reached");
  }
  retries += 1;
  enter("DISCONNECTED");
  const own = session;
  setTimeout(() => own === session && media && begin(), RETRY_MS);
}

field("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  retries = 0;
  enter("CONNECTING");
  try {
    release();
    media = await capture();
    await list();
  } catch (error) {
    return enter("FAILED", error.name === "NotAllowedError" ? "the browser may not use the camera or microphone" : error.message);
  }
  show(media);
  // The user can end screen sharing in the browser's own bar.
  for (const track of media.getTracks()) track.addEventListener("ended", stop);
  await begin();
});

function stop() {
  const own = session;
  session = null;
  own?.end();
  release();
  enter("UNPUBLISHED");
}

field("stop").addEventListener("click", stop);
field("source").addEventListener("change", () => {
  field("camera-field").hidden = field("source").value !== "camera";
  if (!media) return;
  release();
  if (field("source").value !== "screen") look();
});
addEventListener("pagehide", () => session?.end());
setInterval(() => session?.location && session.watch().catch(() => {}), 500);
setInterval(() => {
  if (!meter) return (field("level").value = 0);
  meter.analyser.getFloatTimeDomainData(meter.samples);
  const peak = meter.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  field("level").value = Math.max(peak, field("level").value * LEVEL_DECAY);
}, 100);

if (!navigator.mediaDevices) {
  enter("FAILED", "browsers give cameras only to pages with https");
  field("start").hidden = true;
} else {
  list().catch(() => {});
  // This shows no prompt: the preview starts only if the user has already allowed the camera.
  navigator.permissions?.query({ name: "camera" }).then(({ state }) => state === "granted" && look()).catch(() => {});
}
for (const id of ["camera", "microphone"]) {
  field(id).addEventListener("change", () => {
    if (!media) return;
    release();
    look();
  });
}
field("look").addEventListener("click", look);
