// The live list of events.

import { useState } from "preact/hooks";

import { events } from "./api.js";
import { html, usePart } from "./ui.js";

export function Events() {
  const [filter, look] = useState("");
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const all = events.value.map((event) => ({ ...event, text: facts(event.data) }));
  const known = all.filter((event) => {
    const text = `${event.kind} ${event.text}`.toLowerCase();
    return words.every((word) => (word.startsWith("-") && word.length > 1 ? !text.includes(word.slice(1)) : text.includes(word)));
  }).reverse();
  const [rows, more] = usePart(known);
  return html`<h1>Events</h1>
    <div class="bar"><label class="search">Filter <input type="search" placeholder="stream. live/show -viewers" value=${filter} onInput=${(event) => look(event.target.value)} /></label></div>
    ${rows.length === 0 && html`<p class="empty">No events.</p>`}
    ${rows.length > 0 && html`<div class="scroll"><table class="events">
      <thead><tr><th scope="col">Time</th><th scope="col">Event</th><th scope="col">Facts</th></tr></thead>
      <tbody>${rows.map((event) => html`<tr key=${event.id}><td><time>${time(event.data.at)}</time></td><th scope="row">${event.kind}</th><td>${event.text}</td></tr>`)}</tbody></table></div>`}${more}`;
}

const time = (at) => (at ? new Date(at).toLocaleTimeString() : "");

function facts(data) {
  const { at, app, name, ...rest } = data ?? {};
  const stream = app !== undefined && name !== undefined ? [`${app}/${name}`] : app !== undefined ? [app] : [];
  return [...stream, ...Object.entries(rest).map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`)].join(", ");
}
