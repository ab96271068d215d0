// The dashboard: who is logged in, and which view is open. The address says which one: #keys.

import { render } from "preact";
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";

import { online, streams, user, who } from "./api.js";
import { Events } from "./events.js";
import { Inputs, Jobs } from "./jobs.js";
import { Keys } from "./keys.js";
import { Login } from "./login.js";
import { Account, Node, Settings } from "./node.js";
import { OnAir } from "./onair.js";
import { Recordings } from "./recordings.js";
import { Targets } from "./targets.js";
import { Dialog, html, Toasts } from "./ui.js";

const VIEWS = {
  air: ["On air", OnAir],
  keys: ["Stream keys", Keys],
  targets: ["Targets", Targets],
  recordings: ["Recordings", Recordings],
  inputs: ["Inputs", Inputs],
  jobs: ["Jobs", Jobs],
  node: ["Node", Node],
  events: ["Events", Events],
  settings: ["Settings", Settings],
  account: ["Account", Account],
};

const named = () => (VIEWS[location.hash.slice(1)] ? location.hash.slice(1) : "air");
const view = signal(named());
addEventListener("hashchange", () => {
  view.value = named();
  document.getElementById("main")?.focus();
  scrollTo(0, 0);
});

function App() {
  const [title, View] = VIEWS[view.value];
  const isIn = Boolean(user.value);
  useEffect(() => { document.title = isIn ? `${title} - Weir` : "Weir"; }, [title, isIn]);
  if (user.value === undefined) return html`<main class="door"><p>Loading...</p></main>`;
  if (!isIn) return html`<${Login} />`;
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to content</a>
    <header class="top"><a class="brand" href="#air">Weir</a>
      <span class=${`pill ${online.value ? "good" : "bad"}`} role="status">${online.value ? `${streams.value?.length ?? 0} on air` : "connection lost"}</span>
      <a class="who" href="#account" aria-label=${`Account ${user.value.name}`}>${user.value.name}</a></header>
    <nav aria-label="Views"><ul>${Object.entries(VIEWS).map(([name, [text]]) => html`<li><a href=${`#${name}`} aria-current=${name === view.value ? "page" : undefined}>${text}</a></li>`)}</ul></nav>
    <main id="main" tabindex="-1"><${View} key=${view.value} /></main>
    <${Dialog} /><${Toasts} />`;
}

const root = document.getElementById("app");
who().finally(() => {
  root.replaceChildren();
  render(html`<${App} />`, root);
});
