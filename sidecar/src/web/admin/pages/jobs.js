// Inputs, and the daemon's jobs.

import { useEffect, useState } from "preact/hooks";

import { call, can, now } from "./api.js";
import { act, get, html, part, say, show, span, useList, Waiting } from "./ui.js";

/** All jobs, or those of one stream: `of` is its application and its name. */
export function Jobs({ of = [] }) {
  const { value, error } = useList("jobs");
  const stream = of.length === 2 ? of.join("/") : "";
  const jobs = (value?.jobs ?? []).filter(({ id }) => !stream || id.startsWith(`${stream}/`));
  return html`<h1>${stream ? `Jobs of ${stream}` : "Jobs"}</h1><${Waiting} ...${{ value, error }} />
    ${stream && html`<p class="back"><a href="#jobs">All jobs</a></p>`}
    ${value && jobs.length === 0 && html`<p class="empty">No job runs. Ladders, recordings, stills and inputs of weir.toml are jobs.</p>`}
    ${jobs.length > 0 && html`<div class="scroll"><table>
      <thead><tr><th scope="col">Job</th><th scope="col">State</th><th scope="col">Makes</th><th scope="col">Restarts</th><th scope="col">Last error</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
      <tbody>${jobs.map((job) => html`<tr key=${job.id}><th scope="row">${job.id}</th><td><${State} job=${job} /></td><td>${job.renditions.join(", ")}</td>
        <td><span class="key">Restarts </span>${job.restarts}</td><td>${job.last_error ?? ""}</td><td><${Buttons} id=${job.id} /></td></tr>`)}</tbody></table></div>`}`;
}

export function Inputs() {
  const { value, error } = useList("inputs");
  return html`<h1>Inputs</h1><${Waiting} ...${{ value, error }} />
    ${value && value.inputs.length === 0 && html`<p class="empty">No inputs. An [[input]] of weir.toml publishes a camera, another server or files without an encoder.</p>`}
    ${value?.inputs.length > 0 && html`<div class="scroll"><table>
      <thead><tr><th scope="col">Stream</th><th scope="col">From</th><th scope="col">Runs</th><th scope="col">State</th><th scope="col">Last error</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
      <tbody>${value.inputs.map((input) => html`<tr key=${`${input.app}/${input.stream}`}><th scope="row">${input.app}/${input.stream}</th><td>${input.source}</td><td>${input.start}</td>
        <td>${input.job ? html`<${State} job=${input.job} />` : "off"}</td><td>${input.job?.last_error ?? ""}</td><td>${input.job && html`<${Buttons} id=${input.job.id} />`}</td></tr>`)}</tbody></table></div>`}`;
}

const LEVELS = { running: "good", starting: "notice", waiting: "bad", stopping: "notice" };

function State({ job }) {
  return html`<span class=${`pill ${LEVELS[job.state] ?? ""}`}>${job.state}</span> <small>${span(now.value - Date.parse(job.since) / 1000)}</small>`;
}

function Buttons({ id }) {
  const restart = act(async () => {
    await call("POST", "jobs/restart", { id });
    say(`Restarting ${id}.`);
  });
  return html`<div class="buttons"><button type="button" aria-label=${`Log of ${id}`} onClick=${() => show(`Log of ${id}`, (close) => html`<${Log} ...${{ id, close }} />`)}>Log</button>
    ${can("admin") && html`<button type="button" aria-label=${`Restart ${id}`} onClick=${restart}>Restart</button>`}</div>`;
}

function Log({ id, close }) {
  const [lines, set] = useState(null);
  const [error, complain] = useState("");
  useEffect(() => {
    get(`jobs/logs?id=${part(id)}`).then((answer) => set(answer.lines), (why) => complain(why.message));
  }, []);
  return html`<${Waiting} value=${lines} error=${error} />
    ${lines && html`<pre class="log" tabindex="0" aria-label="Lines">${lines.length ? lines.map((line) => `${line.at.slice(11, 19)} ${line.level} ${line.text}\n`) : "ffmpeg has said nothing."}</pre>`}
    <div class="buttons"><button type="button" onClick=${close}>Close</button></div>`;
}
