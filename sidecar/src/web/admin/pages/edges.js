// Edges of this origin: their load, and whether they accept viewers.

import { call, can } from "./api.js";
import { act, html, load, part, plural, rate, say, span, useList, Waiting } from "./ui.js";

const STATES = {
  up: ["good", "takes viewers"],
  full: ["notice", "full"],
  draining: ["notice", "leaves by itself"],
  drained: ["notice", "drained"],
  down: ["bad", "does not answer"],
};

export function Edges() {
  const { value, error } = useList("edges");
  const edges = value?.edges ?? [];
  const sum = (field) => edges.reduce((total, edge) => total + edge[field], 0);
  return html`<h1>Edges</h1><${Waiting} ...${{ value, error }} />
    ${value?.stale && html`<p class="notice" role="status">The list may be out of date: ${value.stale}</p>`}
    ${value && edges.length === 0 && html`<p class="empty">${value.enabled ? "No edge has joined." : "This server has no edges. Set secret_file of [cluster] in weir.toml to let servers join."}</p>`}
    ${edges.length > 0 && html`<p>${plural(sum("viewers"), "viewer")} on ${plural(edges.length, "edge")}, ${rate(sum("egress"))} of ${rate(sum("bandwidth"))}.</p>
      <div class="scroll"><table>
      <thead><tr>${["Edge", "State", "Viewers", "Sends", "Load", "Region", "Version", "Last report"].map((text) => html`<th scope="col">${text}</th>`)}<th scope="col"><span class="hidden">Actions</span></th></tr></thead>
      <tbody>${edges.map((edge) => html`<${Row} key=${edge.id} edge=${edge} />`)}</tbody></table></div>`}`;
}

function Row({ edge }) {
  const [level, word] = STATES[edge.state] ?? ["off", edge.state];
  const [busy, busyWord] = load(edge.load);
  const set = (action, done) => act(async () => {
    await call("POST", `edges/${part(edge.id)}/${action}`);
    say(done);
  });
  const share = edge.bandwidth > 0 ? edge.egress / edge.bandwidth : 0;
  return html`<tr data-edge=${edge.id}><th scope="row">${edge.id}<br /><small>${edge.address}</small></th>
    <td><span class=${`pill ${level}`}>${word}</span></td>
    <td><span class="key">Viewers </span>${edge.viewers}<br /><small>${plural(edge.streams.length, "stream")}</small></td>
    <td><meter min="0" max="1" low="0.7" high="0.9" optimum="0" value=${Math.min(1, share)} aria-label=${`Bandwidth of ${edge.id}`}></meter><br />
      <small>${rate(edge.egress)} of ${rate(edge.bandwidth)}</small></td>
    <td>${edge.listed ? "" : html`<span class="key">Load </span><span class=${busy}>${busyWord}</span> ${edge.load.toFixed(2)}`}</td>
    <td>${edge.region && html`<span class="key">Region </span>${edge.region}`}</td><td>${edge.version && html`<span class="key">Weir </span>${edge.version}`}</td>
    <td>${edge.age_ms == null ? html`<small>listed in weir.toml</small>` : html`<span class="key">Last report </span>${span(edge.age_ms / 1000)} ago`}</td>
    <td class="buttons">${can("admin") && (edge.state === "drained"
      ? html`<button type="button" aria-label=${`Undrain ${edge.id}`} onClick=${set("undrain", `${edge.id} takes viewers again.`)}>Undrain</button>`
      : html`<button type="button" class="danger" aria-label=${`Drain ${edge.id}`} onClick=${set("drain", `${edge.id} gets no new viewers.`)}>Drain</button>`)}</td></tr>`;
}
