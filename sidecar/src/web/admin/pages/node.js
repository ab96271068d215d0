// Data of this machine, the settings of weir.toml, and the account of the logged-in user.

import { useEffect, useState } from "preact/hooks";

import { call, skew, user } from "./api.js";
import { act, bytes, flush, html, load, say, useList, Waiting } from "./ui.js";
import { refresh } from "./api.js";

const LOOK_MS = 5000;
const SKEW_S = 2;

export function Node() {
  const { value, error } = useList("node");
  useEffect(() => {
    const timer = setInterval(() => refresh("node"), LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  if (!value) return html`<h1>Node</h1><${Waiting} ...${{ value, error }} />`;
  const { nginx } = value;
  const perCore = value.load[0] / value.cores;
  const [level, word] = Number.isFinite(perCore) ? load(perCore) : ["off", "no value"];
  const off = Math.abs(skew.value);
  return html`<h1>Node</h1>
    <dl class="facts">
      <div><dt>Name</dt><dd>${value.name}</dd></div>
      <div><dt>Version</dt><dd>Weir ${value.version}</dd></div>
      <div><dt>Load</dt><dd><span class=${`pill ${level}`}>${word}</span> ${value.load.map((one) => one.toFixed(2)).join(", ")} on ${value.cores} cores</dd></div>
      <div><dt>Clock</dt><dd>${off > SKEW_S ? html`<span class="pill notice">differs</span> ${off.toFixed(1)} s ${skew.value > 0 ? "ahead of" : "behind"} this browser` : "as this browser's"}</dd></div>
      <div><dt>nginx</dt><dd><span class=${`pill ${nginx?.status === "ok" ? "good" : "bad"}`}>${nginx?.status ?? "unknown"}</span> ${(nginx?.reasons ?? []).join("; ")}</dd></div>
      ${nginx?.zone && html`<div><dt>Zone</dt><dd>${bytes(nginx.zone.used)} of ${bytes(nginx.zone.size)}</dd></div>`}
      ${value.disks.map((disk) => html`<div><dt>Disk</dt><dd>${bytes(disk.free)} free of ${bytes(disk.size)} <small>${disk.folder}</small></dd></div>`)}
    </dl>
    ${nginx?.workers && html`<h2>Workers</h2><div class="scroll"><table><thead><tr><th scope="col">Process</th><th scope="col">State</th><th scope="col">Heartbeat</th></tr></thead>
      <tbody>${nginx.workers.map((worker) => html`<tr><th scope="row">${worker.pid}</th><td>${worker.draining ? "draining" : "working"}</td><td>${worker.heartbeat_ms} ms ago</td></tr>`)}</tbody></table></div>`}`;
}

export function Settings() {
  const { value, error } = useList("settings");
  return html`<h1>Settings</h1><${Waiting} ...${{ value, error }} />
    ${value && html`<p>From <code>${value.file}</code>. Change the file, then run <code>systemctl reload weir</code>. Secrets are not shown.</p>
      <div class="scroll"><table><thead><tr><th scope="col">Line</th><th scope="col">Table</th><th scope="col">Key</th><th scope="col">Value</th></tr></thead>
      <tbody>${value.settings.map((row) => html`<tr><td>${row.line}</td><td>${row.table}</td><th scope="row">${row.key}</th><td><code>${row.value}</code></td></tr>`)}</tbody></table></div>`}`;
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
      complain(why.message);
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
