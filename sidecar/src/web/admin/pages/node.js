// The nodes of this installation, the settings of weir.toml, and the account of the logged-in user.

import { useState } from "preact/hooks";

import { call, skew, user } from "./api.js";
import { act, bytes, complaint, flush, html, load, plural, say, span, useList, usePart, Waiting } from "./ui.js";

const SKEW_S = 2;
const none = () => html`<span class="off">no value</span>`;
const EDGES = { up: ["good", "takes viewers"], full: ["notice", "full"], draining: ["notice", "leaves by itself"], drained: ["notice", "drained"], down: ["bad", "does not answer"] };
const PAIR = { "in step": ["good", "in step"], behind: ["notice", "behind"], away: ["bad", "does not answer"] };

export function Node() {
  const { value, error } = useList("node");
  const { value: table } = useList("edges");
  if (!value) return html`<h1>Nodes</h1><${Waiting} ...${{ value, error }} />`;
  const { nginx } = value;
  return html`<h1>Nodes</h1>
    <h2>This server</h2>
    <dl class="facts">
      <div><dt>Name</dt><dd>${value.name}</dd></div>
      <div><dt>Version</dt><dd>Weir ${value.version}</dd></div>
      <div><dt>Load</dt><dd><${Load} of=${value} /></dd></div>
      <div><dt>Clock</dt><dd>${Math.abs(skew.value) > SKEW_S ? html`<${Differs} s=${skew.value} than="this browser" />` : "as this browser's"}</dd></div>
      <div><dt>nginx</dt><dd><${Nginx} of=${nginx} /></dd></div>
      <div><dt>Zone</dt><dd><${Zone} of=${nginx?.zone} /></dd></div>
      ${value.disks.length === 0 && html`<div><dt>Disk</dt><dd>${none()}</dd></div>`}
      ${value.disks.map((disk) => html`<div><dt>Disk</dt><dd><${Disk} of=${disk} /> <small>${disk.folder}</small></dd></div>`)}
    </dl>
    ${nginx?.workers?.length > 0 && html`<h2>Workers</h2><div class="scroll"><table><thead><tr><th scope="col">Process</th><th scope="col">State</th><th scope="col">Heartbeat</th></tr></thead>
      <tbody>${nginx.workers.map((worker) => html`<tr key=${worker.pid}><th scope="row">${worker.pid}</th><td>${worker.draining ? "draining" : "working"}</td><td>${worker.heartbeat_ms} ms ago</td></tr>`)}</tbody></table></div>`}
    <${Others} rows=${others(value, table?.edges ?? [])} stale=${table?.stale} />`;
}

/** Returns the other nodes in one form: {key, name, role, state: [level, word, more], age_s, version, skew_ms, figures, load}. */
function others({ twin, origins = [] }, edges) {
  const rows = [];
  if (twin) {
    const [level, word] = PAIR[twin.state] ?? ["off", twin.state];
    const more = twin.error ?? { true: "standby: pushes nothing", false: "active" }[twin.held];
    rows.push({ ...twin, key: "twin", name: twin.address, role: "other node of the pair", state: [level, word, more], age_s: twin.silent_s });
  }
  for (const origin of origins) {
    const state = origin.state === "joined" ? ["good", "answers"] : origin.state === "drained" ? ["notice", "drained this edge"] : ["bad", "not joined", origin.state];
    rows.push({ key: `origin ${origin.origin}`, name: origin.origin, role: "origin", state, skew_ms: origin.skew_ms });
  }
  for (const edge of edges) {
    const age_s = edge.age_ms == null ? null : edge.age_ms / 1000;
    // An edge of an older version reports only the load per core.
    const perCore = edge.listed ? null : edge.load;
    rows.push({ ...edge, key: `edge ${edge.id}`, name: edge.id, address: edge.address, role: "edge", state: EDGES[edge.state] ?? ["off", edge.state], age_s, perCore });
  }
  return rows;
}

const HEADS = ["Node", "State", "Version", "Load", "Clock", "Workers", "Zone", "Disk"];

function Others({ rows, stale }) {
  const [shown, pages] = usePart(rows);
  return html`<h2>Other nodes</h2>
    ${stale && html`<p class="notice" role="status">The list of edges may be out of date: ${stale}</p>`}
    ${rows.length === 0 ? html`<p class="hint">This server knows no other node. It shows the other node of its pair, its origins and its edges here.</p>`
    : html`<div class="scroll" role="region" tabindex="0" aria-label="Other nodes"><table><thead><tr>${HEADS.map((text) => html`<th scope="col">${text}</th>`)}</tr></thead>
      <tbody>${shown.map((row) => html`<${Other} key=${row.key} row=${row} />`)}</tbody></table></div>${pages}`}`;
}

function Other({ row }) {
  const { figures } = row;
  const [level, word, more] = row.state;
  const workers = figures?.nginx?.workers ?? [];
  const draining = workers.filter((worker) => worker.draining).length;
  const fullest = [...(figures?.disks ?? [])].sort((a, b) => a.free / a.size - b.free / b.size)[0];
  const off = row.skew_ms == null ? null : row.skew_ms / 1000;
  return html`<tr data-node=${row.key}><th scope="row">${row.name}<br /><small>${row.role}${row.role === "edge" ? html` ${row.address}` : ""}</small></th>
    <td><span class=${`pill ${level}`}>${word}</span>${more ? html`<br /><small>${more}</small>` : ""}${row.age_s == null ? "" : html`<br /><small>heard ${span(row.age_s)} ago</small>`}</td>
    <td><span class="key">Version </span>${row.version ? `Weir ${row.version}` : none()}</td>
    <td><span class="key">Load </span>${figures ? html`<${Load} of=${figures} />` : row.perCore == null ? none() : html`<${PerCore} load=${row.perCore} />`}</td>
    <td><span class="key">Clock </span>${off === null ? none() : Math.abs(off) > SKEW_S ? html`<${Differs} s=${off} than="this server" />` : "as this server's"}</td>
    <td><span class="key">Workers </span>${workers.length === 0 ? none() : workers.length}${draining > 0 ? `, ${draining} draining` : ""}${figures?.nginx && figures.nginx.status !== "ok" ? html`<br /><${Nginx} of=${figures.nginx} />` : ""}</td>
    <td><span class="key">Zone </span><${Zone} of=${figures?.nginx?.zone} /></td>
    <td><span class="key">Disk </span>${fullest ? html`<${Disk} of=${fullest} />${figures.disks.length > 1 ? html`<br /><small>fullest of ${plural(figures.disks.length, "disk")}</small>` : ""}` : none()}</td></tr>`;
}

function PerCore({ load: perCore }) {
  const [level, word] = load(perCore);
  return html`<span class=${`pill ${level}`}>${word}</span> ${perCore.toFixed(2)} per core`;
}

function Load({ of: { load: averages, cores } }) {
  const perCore = averages?.[0] / cores;
  if (!Number.isFinite(perCore)) return none();
  const [level, word] = load(perCore);
  return html`<span class=${`pill ${level}`}>${word}</span> ${averages.map((one) => one.toFixed(2)).join(", ")} on ${plural(cores, "core")}`;
}

const Differs = ({ s, than }) => html`<span class="pill notice">differs</span> ${Math.abs(s).toFixed(1)} s ${s > 0 ? "ahead of" : "behind"} ${than}`;
const Nginx = ({ of }) => (of ? html`<span class=${`pill ${of.status === "ok" ? "good" : "bad"}`}>${of.status}</span> ${of.reasons.join("; ")}` : none());
const Zone = ({ of }) => (of ? `${bytes(of.used)} of ${bytes(of.size)}` : none());
const Disk = ({ of }) => html`${bytes(of.free)} free of ${bytes(of.size)}`;

export function Settings() {
  const { value, error } = useList("settings");
  return html`<h1>Settings</h1><${Waiting} ...${{ value, error }} />
    ${value && html`<p>From <code>${value.file}</code>. Change the file, then run <code>systemctl reload weir</code>. Secrets are not shown.</p>
      <div class="scroll"><table><thead><tr><th scope="col">Line</th><th scope="col">Table</th><th scope="col">Key</th><th scope="col">Value</th></tr></thead>
      <tbody>${value.settings.map((row) => html`<tr><td><span class="key">Line </span>${row.line}</td><td>${row.table}</td><th scope="row">${row.key}</th><td><code>${row.value}</code></td></tr>`)}</tbody></table></div>`}`;
}

export function Account() {
  const [error, complain] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    if (form.get("new") !== form.get("again")) return complain("The new passwords differ.");
    complain("");
    try {
      await call("POST", "password", { current: form.get("current"), new: form.get("new") });
      event.target.reset();
      say("The password is changed. All other sessions of this account have ended.");
    } catch (why) {
      complain(complaint(why));
    }
  };
  const out = act(async () => {
    // The waiting actions need the session. If one fails, the page stays and shows its error.
    if (!await flush()) return;
    await call("POST", "logout");
    location.reload();
  });
  return html`<h1>Account</h1><p>${user.value.name}, role: ${user.value.role} <button type="button" onClick=${out}>Log out</button></p>
    <h2>Change the password</h2>
    <form class="narrow" onSubmit=${submit}>
      <label>Name <input name="username" autocomplete="username" value=${user.value.name} readonly /></label>
      <label>Current password <input name="current" type="password" required autocomplete="current-password" /></label>
      <label>New password <input name="new" type="password" required minlength="8" autocomplete="new-password" /></label>
      <label>New password again <input name="again" type="password" required autocomplete="new-password" /></label>
      <p class="bad" role="alert">${error}</p><button class="primary">Change</button></form>`;
}
