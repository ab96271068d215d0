// Push targets: other servers that streams are pushed to.

import { useState } from "preact/hooks";
import { computed } from "@preact/signals";

import { call, can, now, readAt, streams } from "./api.js";
import { PRESETS } from "./presets.js";
import { act, bytes, complaint, going, html, plural, rate, say, show, soon, span, useList, usePart, Waiting } from "./ui.js";

/** Sessions by the ids of their targets, from the list of live streams. */
const told = computed(() => {
  const all = new Map();
  for (const stream of streams.value ?? []) {
    for (const { id, sessions } of stream.targets) all.set(id, [...(all.get(id) ?? []), ...sessions]);
  }
  return all;
});

/** Returns the current sessions of a target: the list of live streams is updated more often than the list of targets. */
const sessions = (target) => told.value.get(target.id) ?? target.sessions;

/** Number of cards that are shown at first; a button shows more. */
const CARDS = 60;
/** Number of targets above which the filter field appears. */
const FEW = 12;

/** Returns the seconds until the next try, which count down between two messages of the daemon. */
const left = (session) => Math.max(0, Math.ceil((session.retry_in_ms ?? 0) / 1000 - Math.max(0, now.value - readAt.value)));

/** Returns the state of a push as a dot and a sentence. */
export function sentence(session) {
  switch (session.state) {
    case "live": return ["good", `${session.stream}: live for ${span(now.value - Date.parse(session.since) / 1000)}, ${rate(session.bitrate_out)}`];
    case "connecting": return ["notice", `${session.stream}: connecting`];
    case "waiting": return ["bad", `${session.stream}: ${session.last_error ?? "failed"}; next try in ${left(session)} s`];
    default: return ["off", `${session.stream}: off`];
  }
}

/** Returns why nginx pushes nothing to a target, and what to do; an empty text if nginx.conf is no reason, or is not known yet. */
function obstacle({ app, enabled, source }, applications) {
  // weir_push_to does not depend on weir_push.
  if (!applications || !enabled || source === "file") return "";
  const own = applications.find((one) => one.name === app);
  if (!own) return `nginx.conf has no application "${app}", so Weir pushes nothing to this target. Add the application to nginx.conf, then reload nginx.`;
  // An older module does not tell it.
  if (own.push !== false) return "";
  return `The application "${app}" has no "weir_push on;" in nginx.conf, so Weir pushes nothing to this target. Add this line to the application, then reload nginx.`;
}

export function Targets() {
  const { value, error } = useList("targets");
  const { value: known } = useList("applications");
  const [filter, look] = useState("");
  const found = (value?.targets ?? []).filter((target) => !filter || `${target.app}/${target.stream} ${target.note} ${target.url} ${target.id}`.toLowerCase().includes(filter.toLowerCase()));
  const [rows, more] = usePart(found, CARDS);
  return html`<h1>Targets</h1>
    <div class="bar">${value?.targets.length > FEW && html`<label class="search">Filter <input type="search" value=${filter} onInput=${(event) => look(event.target.value)} /></label>`}${can("admin") && html`<button type="button" class="primary" onClick=${() => show("New target", (close) => html`<${Create} close=${close} />`)}>New target</button>`}</div>
    <${Waiting} ...${{ value, error }} />
    ${value && value.targets.length === 0 && html`<p class="empty">No targets. A target is another server, such as YouTube, that Weir pushes a stream to.</p>`}
    <div class="cards">${rows.map((target) => html`<${Card} key=${target.id} target=${target} why=${obstacle(target, known?.applications)} />`)}</div>${more}`;
}

function Card({ target, why }) {
  const all = sessions(target);
  const isGoing = going.value.has(target.id);
  const name = target.note || host(target.url);
  const of = target.stream === "*" ? `all streams of ${target.app}` : `${target.app}/${target.stream}`;
  const enable = (enabled) => act(async () => {
    await call("PATCH", `targets/${target.id}`, { enabled });
    say(enabled ? `Resumed ${name}.` : `Paused ${name}.`);
  });
  const remove = () => soon(target.id, `The target ${name} will be removed in 10 seconds.`, async () => {
    await call("DELETE", `targets/${target.id}`, undefined, true);
    say(`Removed ${name}.`);
  }, "Remove now");
  const total = all.reduce((sum, session) => sum + session.bytes_out, 0);
  const again = all.reduce((sum, session) => sum + session.reconnects, 0);
  return html`<article class=${`card ${isGoing ? "going" : ""}`} data-target=${target.id} aria-labelledby=${`target-${target.id}`}>
    <header><h2 id=${`target-${target.id}`}>${name}</h2>${!target.enabled && html`<span class="pill">paused</span>`}</header>
    <p class="address">${of} to <code>${target.url}</code></p>
    <ul class="states">${why && html`<li class="notice">${why}</li>`}${all.length === 0 ? !why && html`<li class="off">${target.enabled ? "waits for a stream" : "paused"}</li>` : all.map((session) => {
      const [level, text] = sentence(session);
      return html`<li class=${level}>${text}</li>`;
    })}</ul>
    ${all.length > 0 && html`<p class="hint">${bytes(total)} sent, ${plural(again, "retry", "retries")}${all.some((session) => session.last_error && session.state !== "waiting") ? `, last error: ${all.find((session) => session.last_error).last_error}` : ""}</p>`}
    ${target.source === "file" ? html`<p class="hint">From weir_push_to in nginx.conf.</p>` : can("admin") && html`<div class="buttons">
      ${target.enabled ? html`<button type="button" aria-label=${`Pause ${name}`} onClick=${enable(false)}>Pause</button>` : html`<button type="button" aria-label=${`Resume ${name}`} onClick=${enable(true)}>Resume</button>`}
      ${all.some((session) => session.state === "waiting") && html`<button type="button" aria-label=${`Retry now ${name}`} onClick=${act(async () => {
        await call("PATCH", `targets/${target.id}`, { enabled: false });
        await call("PATCH", `targets/${target.id}`, { enabled: true });
      })}>Retry now</button>`}
      <button type="button" class="danger" disabled=${isGoing} aria-label=${`Remove ${name}`} onClick=${remove}>Remove</button></div>`}
  </article>`;
}

const host = (url) => /^rtmps?:\/\/(?:[^@/]*@)?([^/:]+)/.exec(url)?.[1] ?? url;

/** Labels of the form's fields. */
const LABELS = { app: "Application", stream: "Stream", url: "Server URL or stream key", note: "Name of the target" };

function Create({ close }) {
  const { value } = useList("applications");
  const [preset, choose] = useState(PRESETS[0]);
  const [error, complain] = useState("");
  // The page is drawn again every second or two: what was typed must stay.
  const [app, nameApp] = useState();
  const [stream, nameStream] = useState();
  const [isAll, takeAll] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const text = (field) => (form.get(field) ?? "").trim();
    const base = preset.host ? preset.url.replace("{host}", text("host")) : preset.url || text("base");
    const url = (base.endsWith("/") || !text("key") ? base : `${base}/`) + text("key");
    complain("");
    try {
      await call("POST", "targets", { app: text("app"), stream: isAll ? "*" : text("stream"), url, note: text("note") || preset.name });
      say(`Added ${text("note") || preset.name}.`);
      close();
    } catch (why) {
      complain(complaint(why, LABELS));
    }
  };
  const apps = value?.applications ?? [];
  // The one that pushes, or the only one.
  const usual = (apps.find((one) => one.push) ?? (apps.length === 1 ? apps[0] : undefined))?.name ?? "";
  const live = (streams.value ?? []).filter((one) => one.app === (app ?? usual));
  const paths = new Set(live.map((one) => `${one.app}/${one.name}`));
  const sources = [...new Set(live.filter((one) => !paths.has(one.source)).map((one) => one.name))];
  const names = [...new Set(live.map((one) => one.name))];
  return html`<form onSubmit=${submit}>
    <label key="preset">Service <select name="preset" value=${preset.name} onChange=${(event) => choose(PRESETS.find((one) => one.name === event.target.value))}>
      ${PRESETS.map((one) => html`<option value=${one.name}>${one.name}</option>`)}</select></label>
    ${preset.host && html`<label key="host">Host <input name="host" required placeholder=${preset.host} autocomplete="off" /></label>`}
    ${!preset.url && html`<label key="base">Server URL <input name="base" required placeholder=${preset.ask} autocomplete="off" /></label>`}
    ${preset.url && !preset.host && html`<p key="url" class="hint">Server URL: <code>${preset.url}</code></p>`}
    <label key="key">Stream key <input name="key" type="password" required=${preset.name !== "Own server"} autocomplete="off" /></label>
    <p key="hint" class="hint">${preset.hint}</p>
    <label key="app">Application <input name="app" list="apps" required value=${app ?? usual} onInput=${(event) => nameApp(event.target.value)} autocomplete="off" /></label>
    <datalist key="apps" id="apps">${apps.map((one) => html`<option value=${one.name} />`)}</datalist>
    <label key="streams">Streams <select name="streams" value=${isAll ? "all" : "one"} onChange=${(event) => takeAll(event.target.value === "all")}>
      <option value="one">One stream</option><option value="all">All streams of the application</option></select></label>
    ${isAll ? html`<p key="all" class="hint">Weir pushes every stream of the application to this target. Most services accept only one stream per key.</p>`
      : html`<label key="stream">Stream <input name="stream" list="names" required value=${stream ?? (sources.length === 1 ? sources[0] : "")} onInput=${(event) => nameStream(event.target.value)} autocomplete="off" /></label>`}
    <datalist key="names" id="names">${names.map((name) => html`<option value=${name} />`)}</datalist>
    <label key="note">Name of the target <input name="note" placeholder=${preset.name} autocomplete="off" /></label>
    <p key="bad" class="bad" role="alert">${error}</p>
    <div key="buttons" class="buttons"><button type="button" onClick=${close}>Cancel</button><button class="primary">Add</button></div></form>`;
}
