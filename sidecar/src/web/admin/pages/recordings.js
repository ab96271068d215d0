// Recordings.

import { call, can } from "./api.js";
import { bytes, confirm, html, say, show, span, useList, usePart, Waiting, when } from "./ui.js";

export function Recordings() {
  const { value, error } = useList("recordings");
  const [rows, more] = usePart(value?.recordings ?? []);
  return html`<h1>Recordings</h1>
    <${Waiting} ...${{ value, error }} />
    ${value && rows.length === 0 && html`<p class="empty">${value.enabled ? "Nothing was recorded yet." : "Nothing is recorded: add a [[record]] to weir.toml."}</p>`}
    ${rows.length > 0 && html`<div class="scroll"><table>
      <thead><tr><th scope="col">Stream</th><th scope="col">Begun</th><th scope="col">Length</th><th scope="col">Size</th><th scope="col">Upload</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
      <tbody>${rows.map((row) => html`<${Row} key=${row.id} of=${row} />`)}</tbody></table></div>`}${more}`;
}

function Row({ of: row }) {
  const name = `${row.app}/${row.stream}`;
  const file = row.file.split("/").pop();
  const url = `api/recordings/${row.id}/file`;
  const upload = row.upload && (row.upload.error ? html`<span class="bad">to ${row.upload.to}: ${row.upload.error}; Weir tries again</span>` : row.upload.done ? `at ${row.upload.to} since ${when(row.upload.done)}` : row.ended ? `to ${row.upload.to}: ${row.upload.parts} parts` : `to ${row.upload.to}, later`);
  const play = () => show(name, (close) => html`<video class="video" controls autoplay src=${url}></video>
    <div class="buttons"><button type="button" onClick=${close}>Close</button></div>`);
  const remove = () => confirm(`Delete ${file}?`, "The file cannot be brought back.", "Delete", async () => {
    await call("DELETE", `recordings/${row.id}`);
    say(`Deleted ${file}.`);
  }, row.stream);
  return html`<tr><th scope="row">${name}<br /><small>${file}</small></th><td>${when(row.started)}</td>
    <td>${row.ended ? span((row.duration_ms ?? Date.parse(row.ended) - Date.parse(row.started)) / 1000) : html`<span class="pill good">recording</span>`}</td>
    <td>${row.bytes === 0 && !row.ended ? "" : bytes(row.bytes)}${row.bytes > 0 && !row.ended ? " so far" : ""}</td><td><span class="key">Upload: </span>${upload ?? "none"}</td>
    <td class="buttons"><button type="button" aria-label=${`Play ${file}`} onClick=${play}>Play</button>
      <a class="button" href=${`${url}?download`} download aria-label=${`Download ${file}`}>Download</a>
      ${can("admin") && html`<button type="button" class="danger" disabled=${!row.ended} aria-label=${`Delete ${file}`} onClick=${remove}>Delete</button>`}</td></tr>`;
}
