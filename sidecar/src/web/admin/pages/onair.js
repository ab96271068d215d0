// Live streams: one card per stream.

import { useState } from "preact/hooks";

import { bitrates, call, can, hasChat, now, streams } from "./api.js";
import { Chart } from "./chart.js";
import { act, bytes, Copy, going, html, parts, plural, rate, say, show, soon, span, usePart, Watch } from "./ui.js";

/** Number of cards that are shown at first; a button shows more. */
const CARDS = 24;
/** Number of streams above which the filter field appears. */
const FEW = 12;

const KINDS = [["webrtc", "WebRTC"], ["ws", "WebSocket"], ["llhls", "LL-HLS"], ["hls", "HLS"], ["dash", "DASH"], ["rtmp", "RTMP"]];
const WORDS = { good: "Good", notice: "Check", bad: "Problem" };
const path = (stream) => `${stream.app}/${stream.name}`;

export function OnAir() {
  const [filter, look] = useState("");
  const known = new Set((streams.value ?? []).map(path));
  const sources = (streams.value ?? []).filter((stream) => !known.has(stream.source));
  const found = filter ? sources.filter((stream) => `${path(stream)} ${stream.health[0].level} ${stream.health[0].text}`.toLowerCase().includes(filter.toLowerCase())) : sources;
  const [shown, more] = usePart(found, CARDS);
  if (!streams.value) return html`<h1>On air</h1><p class="bad" role="alert">nginx does not answer. The log of weir serve says why.</p>`;
  return html`<h1>On air</h1>
    ${sources.length > FEW && html`<div class="bar"><label class="search">Filter <input type="search" placeholder="live/show, bad" value=${filter} onInput=${(event) => look(event.target.value)} /></label></div>`}
    ${sources.length === 0 && html`<div class="empty"><p>Nothing is on air.</p>
      ${can("admin") && html`<p><a class="button primary" href="#keys">Create a stream key</a></p>`}</div>`}
    <div class="cards">${shown.map((stream) => html`<${Card} key=${path(stream) + (stream.server ?? "")} stream=${stream} />`)}</div>${more}`;
}

function Card({ stream }) {
  const id = path(stream);
  const renditions = streams.value.filter((other) => other.source === id);
  const watchers = KINDS.filter(([kind]) => stream.viewers[kind] > 0).map(([kind, word]) => `${stream.viewers[kind]} ${word}`);
  const total = KINDS.reduce((sum, [kind]) => sum + (stream.viewers[kind] ?? 0), 0);
  const worst = stream.health[0];
  // The other levels need no words beside the mark and the bitrate.
  const problems = stream.health.filter((word) => word.level !== "good");
  const { video, audio } = stream;
  const live = stream.targets.flatMap((target) => target.sessions).filter((session) => session.state === "live").length;
  const isGoing = going.value.has(stopping(stream));
  return html`<article class=${isGoing ? "card going" : "card"} data-stream=${id} aria-labelledby=${`card-${id}`}>
    ${stream.still && html`<${Still} stream=${stream} />`}
    <header><h2 id=${`card-${id}`}>${id}</h2><span class=${`pill ${worst.level}`}>${WORDS[worst.level]}</span></header>
    ${problems.length > 0 && html`<ul class="health">${problems.map((word) => html`<li class=${word.level}>${word.text}</li>`)}</ul>`}
    <dl>
      <div><dt>On air</dt><dd><${Since} time=${stream.since} /></dd></div>
      <div><dt>Bitrate</dt><dd>${rate(stream.bitrate_in)}</dd></div>
      <div><dt>Video</dt><dd>${video ? `${video.codec}${video.height ? ` ${video.width}×${video.height}` : ""}${video.fps ? `, ${Math.round(video.fps)} fps` : ""}` : "none"}</dd></div>
      <div><dt>Audio</dt><dd>${audio ? audio.codec : "none"}</dd></div>
      <div><dt>Viewers</dt><dd>${total}${watchers.length ? ` (${watchers.join(", ")})` : ""}</dd></div>
      ${stream.targets.length > 0 && html`<div><dt>Targets</dt><dd>${live} of ${stream.targets.length} live</dd></div>`}
      ${stream.uploads && html`<div><dt>Upload</dt><dd class=${stream.uploads.error ? "bad" : ""}>${upload(stream.uploads)}</dd></div>`}
    </dl>
    ${(stream.recording || stream.slate) && html`<p class="tags">${stream.recording && html`<span class="tag">recording</span>`} ${stream.slate && html`<span class="tag">slate</span>`}</p>`}
    <${Chart} points=${bitrates.value[id] ?? []} since=${Date.parse(stream.since) / 1000} label=${`Bitrate of ${id}`} />
    ${renditions.length > 0 && html`<details><summary>${plural(renditions.length, "rendition")}</summary>
      <ul>${renditions.map((other) => html`<li>${other.name}: ${other.video?.height ? `${other.video.width}×${other.video.height}, ` : ""}${rate(other.bitrate_in)}</li>`)}</ul></details>`}
    <div class="buttons">
      <${Watch} app=${stream.app} stream=${stream.name} />
      ${hasChat.value && html`<a class="button" href=${`#chat/${encodeURIComponent(stream.app)}/${encodeURIComponent(stream.name)}`} aria-label=${`Chat of ${id}`}>Chat</a>`}
      ${(stream.recording || stream.slate || renditions.length > 0) && html`<a class="button" href=${`#jobs/${encodeURIComponent(stream.app)}/${encodeURIComponent(stream.name)}`} aria-label=${`Jobs of ${id}`}>Jobs</a>`}
      ${can("moderator") && html`<button type="button" aria-label=${`Share ${id}`} onClick=${() => show(`Share ${id}`, (close) => html`<${Share} ...${{ stream, close }} />`)}>Share</button>
      <button type="button" class="danger" disabled=${isGoing} aria-label=${`Stop ${id}`} onClick=${() => show(`Stop ${id}`, (close) => html`<${Stop} ...${{ stream, close }} />`)}>Stop</button>`}
    </div>
  </article>`;
}

/** Describes the uploads of a stream's recordings. */
function upload({ to, waiting, bytes: size, sent, done, error }) {
  const before = done > 0 ? `, ${plural(done, "file")} uploaded` : "";
  if (error) return `${plural(waiting, "file")} to ${to}: ${error}; Weir tries again${before}`;
  if (waiting > 0) return `${plural(waiting, "file")} to ${to}, ${bytes(sent)} of ${bytes(size)} sent${before}`;
  return done > 0 ? `${plural(done, "file")} uploaded to ${to}` : `to ${to}, after the recording`;
}

/** Time since the start. Every second, only this component is drawn again, not the whole card. */
function Since({ time }) {
  return span(now.value - Date.parse(time) / 1000);
}

const STILL_S = 10;

function Still({ stream }) {
  const [gone, set] = useState(false);
  const turn = Math.floor(now.value / STILL_S);
  return !gone && html`<img class="still" alt=${`Newest still of ${path(stream)}`} onError=${() => set(true)} src=${`../stream/${parts(path(stream))}/still.jpg?${turn}`} />`;
}

/** Name of a stream's stop among the actions that can be undone. */
const stopping = (stream) => `stop ${path(stream)} ${stream.server ?? ""}`;

function Stop({ stream, close }) {
  const id = path(stream);
  const stop = (ban_s) => () => {
    close();
    soon(stopping(stream), `${id} will be stopped in 10 seconds${ban_s ? ", and its key banned" : ""}.`, async () => {
      const server = stream.server ? `&server=${encodeURIComponent(stream.server)}` : "";
      // The daemon refuses if another publisher has the name by then.
      await call("DELETE", `streams/${parts(id)}?ban_s=${ban_s}&session=${encodeURIComponent(stream.session)}${server}`, undefined, true);
      say(`Stopped ${id}.`);
    }, "Stop now");
  };
  return html`<p>${stream.publisher.key_id ? "The encoder may connect again immediately, unless you ban its key for a while." : "The encoder may connect again immediately: the stream has no key that you could ban."}</p>
    <div class="buttons">
      <button type="button" onClick=${close}>Cancel</button>
      <button type="button" class="danger" onClick=${stop(0)}>Stop</button>
      ${stream.publisher.key_id && html`<button type="button" class="danger" onClick=${stop(600)}>Stop and ban for 10 minutes</button>
        <button type="button" class="danger" onClick=${stop(86400)}>Stop and ban for a day</button>`}
    </div>`;
}

const TIMES = [[3 * 3600, "3 hours"], [24 * 3600, "1 day"], [7 * 24 * 3600, "7 days"]];

function Share({ stream, close }) {
  const [link, set] = useState(null);
  const make = act(async (event) => {
    const ttl_s = Number(new FormData(event.target).get("ttl"));
    set(await call("POST", "links", { app: stream.app, stream: stream.name, ttl_s }));
  });
  if (!link) {
    return html`<form onSubmit=${make}>
      <label>Valid for <select name="ttl">${TIMES.map(([s, text]) => html`<option value=${s}>${text}</option>`)}</select></label>
      <p class="hint">The time counts where viewers need a token; otherwise the link has no end.</p>
      <div class="buttons"><button type="button" onClick=${close}>Cancel</button><button class="primary">Make the link</button></div></form>`;
  }
  const revoke = () => {
    close();
    soon(`link ${link.jti}`, `The link to ${path(stream)} will be revoked in 10 seconds.`, async () => {
      await call("DELETE", `links/${encodeURIComponent(link.jti)}?expires_at=${encodeURIComponent(link.expires_at)}`, undefined, true);
      say(`Revoked the link to ${path(stream)}.`);
    }, "Revoke now");
  };
  return html`<${Copy} label="Link" text=${link.watch} />
    ${link.jti ? html`<p>Valid until ${new Date(link.expires_at).toLocaleString()}.</p>
      <${Copy} label="Revoke on the server" text=${link.revoke} />` : html`<p>Everybody can watch this stream, also without this link.</p>`}
    ${link.qr && html`<${Code} rows=${link.qr} />`}
    <div class="buttons"><button type="button" onClick=${close}>Close</button>
      ${link.jti && html`<button type="button" class="danger" onClick=${revoke}>Revoke</button>`}</div>`;
}

/** A QR code with its quiet zone of 4 modules. */
function Code({ rows }) {
  const size = rows.length + 8;
  const squares = rows.flatMap((row, y) => [...row].map((dark, x) => (dark === "1" ? `M${x + 4} ${y + 4}h1v1h-1z` : "")));
  return html`<svg class="qr" viewBox=${`0 0 ${size} ${size}`} role="img" aria-label="QR code of the link" shape-rendering="crispEdges">
    <rect width=${size} height=${size} fill="#fff" /><path d=${squares.join("")} fill="#000" /></svg>`;
}
