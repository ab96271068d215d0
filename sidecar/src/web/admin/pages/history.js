// The history: past and live streams, and a printable report for each.

import { useEffect, useState } from "preact/hooks";

import { call } from "./api.js";
import { Viewers } from "./graph.js";
import { act, bytes, html, part, plural, rate, span, useList, Waiting, when } from "./ui.js";

const PAGE = 50;
const TIMES = [[0, "all"], [7, "7 days"], [30, "30 days"], [365, "1 year"]];
const KINDS = [["publisher", "from encoders"], ["pull", "pulled"], ["rendition", "renditions"], ["slate", "slates"], ["", "all"]];

export function History({ of: [session] }) {
  return session ? html`<${Report} id=${session} />` : html`<${Sessions} />`;
}

function Sessions() {
  const [wanted, want] = useState({ stream: "", days: 0, kind: "publisher" });
  const [found, set] = useState(null);
  const [error, complain] = useState("");
  const load = async (before) => {
    const query = new URLSearchParams({ limit: PAGE, offset: before?.next ?? 0 });
    const [app, stream] = wanted.stream.includes("/") ? wanted.stream.split(/\/(?=[^/]*$)/) : ["", wanted.stream];
    const until = before?.until ?? new Date(Date.now() + 1000).toISOString();
    const since = wanted.days && new Date(Date.now() - wanted.days * 86400000).toISOString();
    for (const [key, value] of Object.entries({ app, stream, kind: wanted.kind, since, until })) if (value) query.set(key, value);
    try {
      const { sessions, next } = await call("GET", `history?${query}`);
      set({ sessions: [...(before?.sessions ?? []), ...sessions], next, until, query });
      complain("");
    } catch (why) {
      complain(why.message);
    }
  };
  useEffect(() => {
    const timer = setTimeout(() => load(null), 250);
    return () => clearTimeout(timer);
  }, [wanted]);
  const change = (field) => (event) => want({ ...wanted, [field]: event.target.value.trim() });
  const file = (table) => {
    const query = new URLSearchParams(found?.query);
    for (const key of ["limit", "offset", ...(table === "sessions" ? [] : ["kind"])]) query.delete(key);
    return `api/history/${table}?${query}&format=csv`;
  };
  return html`<h1>History</h1>
    <div class="bar">
      <label class="search">Stream <input type="search" placeholder="live/show" value=${wanted.stream} onInput=${change("stream")} /></label>
      <label class="inline">Since <select value=${wanted.days} onChange=${(event) => want({ ...wanted, days: Number(event.target.value) })}>${TIMES.map(([days, text]) => html`<option value=${days}>${text}</option>`)}</select></label>
      <label class="inline">Streams <select value=${wanted.kind} onChange=${change("kind")}>${KINDS.map(([kind, text]) => html`<option value=${kind}>${text}</option>`)}</select></label>
      ${found && html`<a class="button" download href=${file("sessions")}>Save as CSV</a>`}</div>
    <${Waiting} ...${{ value: found, error }} />
    ${found && found.sessions.length === 0 && html`<p class="empty">No stream of this kind is in the history.</p>`}
    ${found?.sessions.length > 0 && html`<div class="scroll"><table>
      <thead><tr>${["Stream", "Begun", "Length", "Viewers at most", "Viewers in total", "Video", "End"].map((text) => html`<th scope="col">${text}</th>`)}</tr></thead>
      <tbody>${found.sessions.map((one) => html`<tr key=${one.session} data-session=${one.session}>
        <th scope="row"><a href=${`#history/${part(one.session)}`}>${one.app}/${one.stream}</a>${one.kind !== "publisher" ? html` <span class="tag">${one.kind}</span>` : ""}</th>
        <td>${when(one.started_at)}</td><td>${span(one.duration_ms / 1000)}</td>
        <td><span class="key">At most </span>${one.viewers_peak}<span class="key"> ${one.viewers_peak === 1 ? "viewer" : "viewers"}</span></td><td><span class="key">In total </span>${one.viewers_total}</td><td>${video(one)}</td><td>${end(one)}</td></tr>`)}</tbody></table></div>`}
    ${found?.next != null && html`<button type="button" onClick=${act(() => load(found))}>Show more</button>`}`;
}

function video(one) {
  if (!one.video_codec) return one.audio_codec ? `audio only, ${one.audio_codec}` : "";
  return `${one.video_codec}${one.height ? ` ${one.width}×${one.height}` : ""}${one.fps ? `, ${Math.round(one.fps)} fps` : ""}`;
}

// Another publisher takes a stream over with `weir_duplicate`; the module has one word for both.
const REASONS = { unpublished: "stopped by the encoder", disconnected: "connection lost", dropped: "stopped by an administrator, or taken over", bitrate: "sent more than weir_max_bitrate allows", unknown: "not known" };

function end(one) {
  return one.ended_at ? REASONS[one.reason] ?? one.reason ?? "ended" : html`<span class="pill good">live</span>`;
}

/** Tolerance between the end of a stream and the daemon's last look at a push, in milliseconds. */
const LOOK_MS = 60000;

/** Describes the state of a push, for an ended stream its last one. */
function pushed(row, one) {
  if (!one.ended_at) return row.state;
  if (Date.parse(one.ended_at) - Date.parse(row.seen_at) > LOOK_MS) return `until ${clock(row.seen_at)}`;
  return { live: "until the end", off: "off" }[row.state] ?? "not live at the end";
}

const clock = (at) => new Date(at).toLocaleTimeString();

function Report({ id }) {
  const [one, set] = useState(null);
  const [error, complain] = useState("");
  const { value: present } = useList("targets");
  useEffect(() => {
    call("GET", `history/sessions/${part(id)}`).then(set, (why) => complain(why.message));
  }, [id]);
  if (!one) return html`<p class="back"><a href="#history">History</a></p><h1>Report</h1><${Waiting} value=${one} error=${error} />`;
  const minutes = one.minutes;
  const watched = minutes.reduce((sum, minute) => sum + minute.viewers, 0);
  const chat = one.chat.reduce((sum, minute) => [sum[0] + minute.messages, sum[1] + minute.joined, Math.max(sum[2], minute.peak)], [0, 0, 0]);
  const range = new URLSearchParams({ app: one.app, stream: one.stream, since: one.started_at, until: new Date(Date.parse(one.ended_at ?? new Date()) + 1000).toISOString(), format: "csv" });
  const hours = (watched / 60).toFixed(1);
  // The history has the names of that time, also of targets that are gone.
  const named = [...(present?.targets ?? []).map((target) => [target.id, target.note]), ...one.targets.map((row) => [row.target, row.note])];
  const names = Object.fromEntries(named.filter(([, name]) => name));
  const facts = [
    ["Event", one.title],
    ["Begun", when(one.started_at)],
    ["Ended", one.ended_at ? html`${when(one.ended_at)}, ${end(one)}` : end(one)],
    ["Length", span(one.duration_ms / 1000)],
    ["Viewers at most", `${one.viewers_peak} at one time`],
    ["Viewers in total", `${one.viewers_total}; a viewer who returns later counts again`],
    ["Watched", hours !== "0.0" && `${hours} hours by all, ${(watched / minutes.length).toFixed(1)} viewers on average`],
    ["Video", video(one) || "none"],
    ["Audio", one.audio_codec ? `${one.audio_codec}${one.sample_rate ? `, ${one.sample_rate / 1000} kHz` : ""}${one.channels ? `, ${plural(one.channels, "channel")}` : ""}` : "none"],
    ["Bitrate", one.bitrate_avg != null && `${rate(one.bitrate_avg)} on average, ${rate(one.bitrate_max)} at most`],
    ["Received", bytes(one.bytes_in)],
    ["Stream key", one.key_id && html`<code>${one.key_id}</code>`],
    ["Chat", one.chat.length > 0 && `${plural(chat[0], "message")}, ${chat[1]} joined, ${chat[2]} at most`],
  ];
  return html`<article class="report"><p class="back"><a href="#history">History</a></p>
    <header class="bar"><h1 class="grow">Report: ${one.app}/${one.stream}</h1>
      <button type="button" class="primary" onClick=${() => print()}>Print</button><a class="button" download href=${`api/history/minutes?${range}`}>Minutes as CSV</a></header>
    <dl class="facts">${facts.filter(([, value]) => value).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <section aria-labelledby="per-minute"><h2 id="per-minute">Viewers per minute</h2><${Viewers} minutes=${minutes} /></section>
    ${one.targets.length > 0 && html`<section aria-labelledby="targets"><h2 id="targets">Targets</h2><div class="scroll"><table><thead><tr><th scope="col">Target</th><th scope="col">State</th><th scope="col">Sent</th><th scope="col">Retries</th><th scope="col">Last error</th></tr></thead>
      <tbody>${one.targets.map((row) => html`<tr key=${row.target}><th scope="row">${row.note || row.target}<br /><small>${row.url}</small></th><td>${pushed(row, one)}</td><td>${bytes(row.bytes_out)}</td><td><span class="key">Retries </span>${row.reconnects}</td><td>${row.last_error ?? ""}</td></tr>`)}</tbody></table></div></section>`}
    ${one.recordings.length > 0 && html`<section aria-labelledby="files"><h2 id="files">Recordings</h2><div class="scroll"><table><thead><tr><th scope="col">File</th><th scope="col">Size</th><th scope="col">Length</th><th scope="col">Upload</th></tr></thead>
      <tbody>${one.recordings.map((row) => html`<tr key=${row.file}><th scope="row">${base(row.file)}${row.removed_at ? html`<br /><small>removed ${when(row.removed_at)}</small>` : ""}</th><td>${bytes(row.bytes)}</td><td>${row.duration_ms ? span(row.duration_ms / 1000) : ""}</td><td>${row.uploaded_at ? `${row.upload}, ${when(row.uploaded_at)}` : "none"}</td></tr>`)}</tbody></table></div></section>`}
    <section aria-labelledby="changes"><h2 id="changes">Changes by administrators</h2>
      ${one.admin.length === 0 ? html`<p class="hint">None while the stream was live.</p>` : html`<div class="scroll"><table><thead><tr><th scope="col">Time</th><th scope="col">Who</th><th scope="col">What</th></tr></thead>
      <tbody>${one.admin.map((row) => html`<tr><td><time datetime=${row.at}>${clock(row.at)}</time></td><th scope="row">${row.who}</th><td>${deed(row, names)}</td></tr>`)}</tbody></table></div>`}</section>
    <p class="hint paper">Weir, ${new Date().toLocaleString()}. Session ${one.session}.</p></article>`;
}

/** Describes an action of an administrator. `names` are the names of targets by their ids. */
function deed({ action, data }, names) {
  const known = DEEDS[`${action.replace(/^admin\./, "")} ${data?.action}`];
  if (known) return `${known(data, names)}.`;
  const { action: verb, at, who, app, name, ...rest } = data ?? {};
  const facts = Object.entries(rest).map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return `${action.replace(/^admin\./, "")} ${String(verb ?? "changed").replaceAll("_", " ")}${facts.length ? ` (${facts.join(", ")})` : ""}`;
}

const base = (file) => String(file).split("/").pop();

function lasts(seconds) {
  const [size, word] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].find(([size]) => seconds % size === 0);
  return plural(seconds / size, word);
}

const target = ({ id }, names) => `the target ${names[id] || id}`;
// An address is in the history only as a hash, which begins with "@".
const person = ({ from }) => (from?.startsWith("@") ? `the address ${from}` : from ?? "a person");
const message = ({ id, from }) => (id || !from ? "a chat message" : `the chat messages of ${person({ from })}`);

/** What administrators did, by the kind and the action of the event; the name of the administrator is beside it. */
const DEEDS = {
  "account password": () => "Changed the password of the account",
  "key added": ({ id }) => `Added the stream key ${id}`,
  "key rotated": ({ id, overlap_s }) => `Replaced the secret of the stream key ${id}; the old secret ended ${overlap_s ? `after ${lasts(overlap_s)}` : "immediately"}`,
  "key revoked": ({ id }) => `Revoked the stream key ${id}`,
  "target added": (data, names) => `Added ${target(data, names)}`,
  "target paused": (data, names) => `Paused ${target(data, names)}`,
  "target resumed": (data, names) => `Resumed ${target(data, names)}`,
  "target changed": (data, names) => `Changed ${target(data, names)}`,
  "target removed": (data, names) => `Removed ${target(data, names)}`,
  "stream dropped": ({ ban_s }) => `Stopped the stream${ban_s ? `, and banned its key for ${lasts(ban_s)}` : ""}`,
  "stream player_dropped": () => "Disconnected a player",
  "link made": ({ expires_at }) => `Made a link that is valid until ${when(expires_at)}`,
  "link revoked": ({ sub }) => (sub ? `Revoked all links and tokens for ${sub} so far` : "Revoked a link"),
  "job restarted": ({ id }) => `Restarted the job ${id}`,
  "recording removed": ({ file }) => `Deleted the recording ${base(file)}`,
  "chat deleted": (data) => `Deleted ${message(data)}`,
  "chat restored": (data) => `Restored ${message(data)}`,
  "chat timed_out": (data) => `Stopped ${person(data)} from writing in the chat${data.seconds ? ` for ${lasts(data.seconds)}` : ""}`,
  "chat banned": (data) => `Banned ${person(data)} from the chat`,
  "chat unbanned": (data) => `Let ${person(data)} write in the chat again`,
  "chat slow": ({ seconds }) => (seconds ? `Let each person write in the chat only once in ${lasts(seconds)}` : "Ended the slow mode of the chat"),
  "edge drained": ({ id }) => `Drained the edge ${id}`,
  "edge undrained": ({ id }) => `Let the edge ${id} take viewers again`,
};
