// The dashboard: the login and the open view. The address names the view and its item: #keys, #history/SESSION. Views are loaded
// when they are first opened.

import { render } from "preact";
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";

import { online, streams, user, who } from "./api.js";
import { Login } from "./login.js";
import { OnAir } from "./onair.js";
import { Dialog, dismiss, html, Toasts } from "./ui.js";

const VIEWS = {
  air: ["On air", OnAir],
  chat: ["Chat", () => import("./chat.js"), "Chat"],
  keys: ["Stream keys", () => import("./keys.js"), "Keys"],
  targets: ["Targets", () => import("./targets.js"), "Targets"],
  recordings: ["Recordings", () => import("./recordings.js"), "Recordings"],
  history: ["History", () => import("./history.js"), "History"],
  inputs: ["Inputs", () => import("./jobs.js"), "Inputs"],
  jobs: ["Jobs", () => import("./jobs.js"), "Jobs"],
  edges: ["Edges", () => import("./edges.js"), "Edges"],
  node: ["Nodes", () => import("./node.js"), "Node"],
  events: ["Events", () => import("./events.js"), "Events"],
  settings: ["Settings", () => import("./node.js"), "Settings"],
  account: ["Account", () => import("./node.js"), "Account"],
};

/** Returns the view in the address, and the parts after its name. */
function named() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  return VIEWS[name] ? { name, rest: rest.map(decode) } : { name: "air", rest: [] };
}

function decode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

const view = signal(named());
/** Loaded views by name; a text is the reason why a view could not be loaded. */
const loaded = signal({ air: OnAir });

async function load(name) {
  const [, get, part] = VIEWS[name];
  if (typeof loaded.value[name] === "function") return;
  try {
    const module = await get();
    loaded.value = { ...loaded.value, [name]: module[part] };
  } catch {
    loaded.value = { ...loaded.value, [name]: "This page cannot be loaded. Load the dashboard again." };
  }
}

addEventListener("hashchange", ({ oldURL }) => {
  // A dialog that must stay keeps its view: the address becomes the one of this view again.
  if (!dismiss()) return history.replaceState(null, "", oldURL);
  view.value = named();
  document.getElementById("main")?.focus();
  scrollTo(0, 0);
});

function App() {
  const { name, rest } = view.value;
  const [title] = VIEWS[name];
  const View = loaded.value[name];
  const isIn = Boolean(user.value);
  useEffect(() => { document.title = isIn ? `${title} - Weir` : "Weir"; }, [title, isIn]);
  useEffect(() => {
    if (isIn) load(name);
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [name, isIn]);
  if (user.value === undefined) return html`<main class="door"><p>Loading...</p></main>`;
  if (!isIn) return html`<${Login} />`;
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to content</a>
    <header class="top"><a class="brand" href="#air">Weir</a>
      <span class=${`pill ${online.value ? "good" : "bad"}`} role="status">${online.value ? `${streams.value?.length ?? 0} on air` : "connection lost"}</span>
      <a class="who" href="#account" aria-label=${`Account ${user.value.name}`}>${user.value.name}</a></header>
    <nav aria-label="Views"><ul>${Object.entries(VIEWS).map(([other, [text]]) => html`<li><a href=${`#${other}`} aria-current=${other === name ? "page" : undefined}>${text}</a></li>`)}</ul></nav>
    <main id="main" tabindex="-1">${typeof View === "function" ? html`<${View} key=${[name, ...rest].join("/")} of=${rest} />`
      : html`<h1>${title}</h1><p>${View ?? "Loading..."}</p>`}</main>
    <${Dialog} /><${Toasts} />`;
}

const root = document.getElementById("app");
who().finally(() => {
  root.replaceChildren();
  render(html`<${App} />`, root);
});
