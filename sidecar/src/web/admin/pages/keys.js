// Stream keys: a key is shown once, after its creation.

import { useEffect, useRef, useState } from "preact/hooks";

import { call, can } from "./api.js";
import { act, complaint, Copy, going, html, part, say, show, soon, useKept, useList, usePart, Waiting, when } from "./ui.js";

export function Keys() {
  const { value, error } = useList("keys");
  const [filter, look] = useState("");
  const known = (value?.keys ?? []).filter((key) => `${key.app}/${key.stream} ${key.note} ${key.id}`.toLowerCase().includes(filter.toLowerCase()));
  const [rows, more] = usePart(known);
  return html`<h1>Stream keys</h1>
    <div class="bar">
      <label class="search">Filter <input type="search" value=${filter} onInput=${(event) => look(event.target.value)} /></label>
      ${can("admin") && html`<button type="button" class="primary" onClick=${() => show("New stream key", (close) => html`<${Create} close=${close} />`)}>New key</button>`}
    </div>
    <${Waiting} ...${{ value, error }} />
    ${value && known.length === 0 && html`<p class="empty">No keys. An encoder needs one to publish to an application with weir_publish key.</p>`}
    ${rows.length > 0 && html`<div class="scroll"><table>
      <thead><tr><th scope="col">Stream</th><th scope="col">Note</th><th scope="col">Valid</th><th scope="col">From</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
      <tbody>${rows.map((key) => html`<${Row} key=${key.id} of=${key} />`)}</tbody></table></div>`}
    ${more}`;
}

function Row({ of: key }) {
  const name = `${key.app}/${key.stream}`;
  // A stream may have several keys, which only the id tells apart.
  const words = `the key ${key.id} of ${name}`;
  const isGoing = going.value.has(key.id);
  const ended = key.expires_at && Date.parse(key.expires_at) < Date.now();
  const revoke = () => soon(key.id, `The key ${key.id} of ${name} will be revoked in 10 seconds.`, async () => {
    await call("DELETE", `keys/${key.id}`, undefined, true);
    say(`Revoked ${words}.`);
  }, "Revoke now");
  return html`<tr data-key=${key.id} class=${isGoing ? "going" : ""}>
    <th scope="row">${name} <small><code>${key.id}</code></small></th><td>${key.note}</td>
    <td><span class="key">Valid: </span>${ended ? html`<span class="bad">expired</span>` : key.expires_at ? `until ${when(key.expires_at)}` : "always"}
      ${key.previous_valid_until && html`<br /><small>old secret until ${when(key.previous_valid_until)}</small>`}</td>
    <td><span class="key">From: </span>${key.publish_from.length ? key.publish_from.join(", ") : "anywhere"}</td>
    <td class="buttons">${key.source === "file" ? html`<small>from weir_key_file</small>` : can("admin") && html`
      <button type="button" aria-label=${`Rotate ${words}`} onClick=${() => show(`Rotate the key of ${name}`, (close) => html`<${Rotate} ...${{ id: key.id, name, close }} />`)}>Rotate</button>
      <button type="button" class="danger" disabled=${isGoing} aria-label=${`Revoke ${words}`} onClick=${revoke}>Revoke</button>`}</td>
  </tr>`;
}

/** Converts a time of `<input type="datetime-local">` to the form of the API. */
const instant = (local) => (local ? new Date(local).toISOString().replace(/\.\d+Z$/, "Z") : undefined);

const listed = (text) => text.split(/[\s,]+/).filter(Boolean);

/** Labels of the form's fields. */
const LABELS = { app: "Application", stream: "Stream", note: "Note", expires_at: "Expires", publish_from: "Only from these networks" };

/** Returns whether a text is an IPv4 address that ends in .0, as of a network whose length was forgotten. */
const looksLikeNetwork = (text) => /^(\d{1,3}\.){3}0$/.test(text);

function Create({ close }) {
  const { value } = useList("applications");
  const [made, set] = useState(null);
  const [error, complain] = useState("");
  // The page is drawn again every second or two: what was typed must stay.
  const [app, nameApp] = useState();
  const [networks, nameNetworks] = useState("");
  if (made) return html`<${Made} ...${{ made, close }} />`;
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const text = (field) => form.get(field).trim() || undefined;
    const publish_from = listed(networks);
    complain("");
    try {
      set(await call("POST", "keys", { app: text("app") ?? "", stream: text("stream") ?? "", note: text("note"), expires_at: instant(text("expires_at")), publish_from }));
    } catch (why) {
      complain(complaint(why, LABELS));
    }
  };
  return html`<form onSubmit=${submit}>
    <label>Application <input name="app" list="apps" required autocomplete="off" value=${app ?? value?.applications?.find((one) => one.publish === "key")?.name ?? ""} onInput=${(event) => nameApp(event.target.value)} /></label>
    <datalist id="apps">${(value?.applications ?? []).map((app) => html`<option value=${app.name} />`)}</datalist>
    <label>Stream <input name="stream" required autocomplete="off" placeholder="show" /></label>
    <label>Note <input name="note" autocomplete="off" placeholder="OBS, desk 2" /></label>
    <label>Expires <input name="expires_at" type="datetime-local" /></label>
    <label>Only from these networks <input name="publish_from" autocomplete="off" placeholder="192.0.2.0/24, 2001:db8::/32" value=${networks} onInput=${(event) => nameNetworks(event.target.value)} /></label>
    <p class="notice" role="status">${listed(networks).filter(looksLikeNetwork).map((one) => `${one} is one address. For the network, write ${one}/24. `)}</p>
    <p class="bad" role="alert">${error}</p>
    <div class="buttons"><button type="button" onClick=${close}>Cancel</button><button class="primary">Create</button></div></form>`;
}

function Made({ made, close }) {
  const first = useRef(null);
  useKept();
  // The form that had the focus is gone, so the focus moves here.
  useEffect(() => first.current?.focus(), []);
  return html`<p class="notice" tabindex="-1" ref=${first}><strong>This key is shown only once.</strong> Copy it into the encoder now.</p>
    <p class="hint">The list of keys shows it as <code>${made.id}</code>.</p>
    <h3>OBS: Settings, Stream, Custom</h3>
    <${Copy} label="Server" text=${made.obs_server} /><${Copy} label="Stream Key" text=${made.key} />
    ${made.whip_url && html`<h3>WHIP</h3><${Copy} label="WHIP URL" text=${made.whip_url} /><${Copy} label="Bearer Token" text=${made.key} />`}
    <div class="buttons"><button type="button" class="primary" onClick=${close}>Done</button></div>`;
}

const OVERLAPS = [[0, "immediately"], [600, "10 minutes"], [3600, "1 hour"], [86400, "1 day"], [604800, "7 days"]];

function Rotate({ id, name, close }) {
  const [made, set] = useState(null);
  const [overlap, choose] = useState("0");
  const [typed, type] = useState("");
  // Nobody can bring the old secret back.
  const needsName = overlap === "0";
  if (made) return html`<${Made} ...${{ made, close }} />`;
  const submit = act(async (event) => {
    const overlap_s = Number(new FormData(event.target).get("overlap"));
    set(await call("POST", `keys/${part(id)}/rotate`, { overlap_s }));
  });
  return html`<form onSubmit=${submit}>
    <p>The key <code>${id}</code> gets a new secret. A publisher that is live stays live.</p>
    <label>The old secret ends <select name="overlap" value=${overlap} onChange=${(event) => choose(event.target.value)}>${OVERLAPS.map(([s, text]) => html`<option value=${s}>${s ? `after ${text}` : text}</option>`)}</select></label>
    ${needsName && html`<label>The old secret cannot be brought back. Type <strong>${name}</strong> to confirm
      <input value=${typed} onInput=${(event) => type(event.target.value)} autocomplete="off" /></label>`}
    <div class="buttons"><button type="button" onClick=${close}>Cancel</button>
      <button class="primary" disabled=${needsName && typed !== name}>Rotate</button></div></form>`;
}
