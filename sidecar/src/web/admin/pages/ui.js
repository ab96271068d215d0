// Components that all views share.

import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import htm from "htm";

import { call, can, list, now, refresh } from "./api.js";

export const html = htm.bind(h);

/** Messages that are shown for some seconds, with buttons: {id, text, level, buttons: [[label, action]], end: time or undefined}. */
const toasts = signal([]);
let next = 1;

/** Shows a message, with `counts` also the seconds until it disappears; returns a function that removes it. */
export function say(text, { level = "good", buttons = [], ms = 6000, counts = false } = {}) {
  const id = next++;
  const gone = () => (toasts.value = toasts.value.filter((toast) => toast.id !== id));
  const end = counts ? Date.now() + ms : undefined;
  toasts.value = [...toasts.value, { id, text, level, buttons, gone, end }];
  let timer;
  const begin = () => (timer = setTimeout(gone, ms));
  // A hidden page keeps its messages until the user sees them, for example the error of an action that ran because the page was hidden.
  if (document.hidden && !counts) document.addEventListener("visibilitychange", begin, { once: true });
  else begin();
  return () => {
    clearTimeout(timer);
    gone();
  };
}

export const fail = (error) => say(error.message, { level: "bad", ms: 10000 });

/** Number of messages that are shown at first, because more would cover the page; a button shows the earlier ones. */
const MESSAGES = 2;

export function Toasts() {
  const [isOpen, open] = useState(false);
  const all = toasts.value;
  const isLong = all.length > MESSAGES;
  useEffect(() => { if (!isLong) open(false); }, [isLong]);
  const shown = isOpen ? all : all.slice(-MESSAGES);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${all.length > shown.length && html`<div key="earlier" class="toast"><span>${plural(all.length - shown.length, "earlier message")}</span>
      <button type="button" onClick=${() => open(true)}>Show</button></div>`}
    ${shown.map(({ id, text, level, buttons, gone, end }) => html`<div key=${id} class=${`toast ${level}`}>
      <span>${text}</span>${end && html`<${Left} end=${end} />`}
      ${buttons.map(([label, act]) => html`<button type="button" onClick=${() => { gone(); act(); }}>${label}</button>`)}
    </div>`)}
  </div>`;
}

/** Seconds until a time. A screen reader reads only the text beside it, because it would read each second. */
function Left({ end }) {
  // The clock ticks each second, so the component is drawn again.
  return html`<b class="left" aria-hidden="true">${now.value && Math.max(0, Math.ceil((end - Date.now()) / 1000))} s</b>`;
}

const UNDO_MS = 10000;
/** Functions that run the actions that wait or are running; each returns a promise of whether its action succeeded. */
const waiting = new Set();

/** Runs all waiting actions immediately; returns whether they succeeded. The page shows their errors. */
export const flush = async () => (await Promise.all([...waiting].map((run) => run()))).every(Boolean);

/** Names of items that will be removed soon, so that views can mark them. */
export const going = signal(new Set());

/** Runs an action after ten seconds unless the user undoes it, or earlier if the page is hidden or closed, or the user logs out. */
export function soon(name, text, act, label, undo = () => {}) {
  const mark = (is) => {
    const names = new Set(going.value);
    if (is) names.add(name); else names.delete(name);
    going.value = names;
  };
  const stop = () => { clearTimeout(timer); forget(); };
  const done = () => { waiting.delete(run); mark(false); };
  const perform = async () => {
    stop();
    try {
      await act();
      return true;
    } catch (error) {
      fail(error);
      return false;
    } finally {
      done();
    }
  };
  let running;
  // A second call waits for the first, for example if the user logs out while the daemon has not answered yet.
  const run = () => (running ??= perform());
  const timer = setTimeout(run, UNDO_MS);
  waiting.add(run);
  mark(true);
  const forget = say(text, {
    level: "notice",
    ms: UNDO_MS,
    counts: true,
    buttons: [["Undo", () => { stop(); done(); undo(); }], [label, run]],
  });
}

addEventListener("pagehide", flush);
// Mobile browsers stop the timers of a hidden page, and may close it without `pagehide`.
document.addEventListener("visibilitychange", () => document.hidden && flush());

const dialog = signal(null);

/** Shows a dialog; `body` is a function that gets the function to close the dialog. */
export const show = (title, body) => (dialog.value = { title, body });
export const hide = () => (dialog.value = null);

/** Whether only its own button closes the open dialog. */
let isKept = false;

/** Keeps the dialog with the calling component open until its own button closes it. */
export function useKept() {
  useEffect(() => {
    isKept = true;
    return () => (isKept = false);
  }, []);
}

/** Closes the open dialog, if any. Returns whether none is left. */
export function dismiss() {
  if (isKept) return false;
  // The page behind an open dialog cannot take the focus.
  document.querySelector("dialog[open]")?.close();
  hide();
  return true;
}

export function Dialog() {
  const ref = useRef(null);
  const open = dialog.value;
  useEffect(() => {
    if (!open) return undefined;
    const before = document.activeElement;
    ref.current?.showModal();
    // The focus returns to the element that opened the dialog.
    return () => before?.isConnected && before.focus();
  }, [open]);
  if (!open) return null;
  const stay = (event) => isKept && event.preventDefault();
  // A browser closes a dialog at the second Escape, whatever the page does with the event `cancel`.
  const closed = () => (isKept ? ref.current?.showModal() : hide());
  return html`<dialog ref=${ref} onCancel=${stay} onClose=${closed} aria-labelledby="dialog-title">
    <h2 id="dialog-title">${open.title}</h2>
    ${open.body(hide)}
  </dialog>`;
}

/** Asks for confirmation of an action that cannot be undone; with `name`, the user must type the name. */
export function confirm(title, text, label, act, name = "") {
  show(title, (close) => html`<${Confirm} ...${{ text, label, act, name, close }} />`);
}

function Confirm({ text, label, act, name, close }) {
  const [typed, type] = useState("");
  const [busy, work] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    work(true);
    try { await act(); close(); } catch (error) { fail(error); work(false); }
  };
  return html`<form onSubmit=${submit}>
    <p>${text}</p>
    ${name && html`<label>Type <strong>${name}</strong> to confirm
      <input value=${typed} onInput=${(event) => type(event.target.value)} autocomplete="off" /></label>`}
    <div class="buttons">
      <button type="button" onClick=${close}>Cancel</button>
      <button class="danger" disabled=${busy || typed !== name}>${label}</button>
    </div>
  </form>`;
}

/** Returns an event handler that runs `work` and shows its error. */
export const act = (work) => async (event) => {
  event?.preventDefault?.();
  try { await work(event); } catch (error) { fail(error); }
};

/** A text with a button that copies it. */
export function Copy({ label, text }) {
  const [done, set] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(document.getElementById(id));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    set(true);
    setTimeout(() => set(false), 2000);
  };
  const id = `copy-${label.replace(/\W/g, "")}`;
  return html`<div class="copy"><span class="label">${label}</span><code id=${id}>${text}</code>
    <button type="button" onClick=${copy} aria-label=${`Copy ${label}`}>${done ? "Copied" : "Copy"}</button></div>`;
}

/** Requests a list of the daemon when the component is first shown; returns its value and its error. */
export function useList(name) {
  const entry = list(name);
  useEffect(() => { refresh(name); }, []);
  return { value: entry.value.value, error: entry.error.value };
}

export function Waiting({ value, error }) {
  if (error) return html`<p class="bad" role="alert">${error}</p>`;
  return value ? null : html`<p>Loading...</p>`;
}

/** Validity of the link with which an account opens the watch page, in seconds. */
const WATCH_S = 12 * 3600;

/** A button that opens the watch page of a stream in a new tab. If viewers need a token, an account that may share links gets one. */
export function Watch({ app, stream }) {
  const mayShare = can("moderator");
  const open = async (event) => {
    if (!mayShare) return;
    // A browser allows a new tab only during the click. A tab that it does not allow opens as a plain link.
    const tab = window.open("", "_blank");
    if (!tab) return;
    tab.opener = null;
    event.preventDefault();
    try {
      tab.location.replace((await call("POST", "links", { app, stream, ttl_s: WATCH_S })).watch);
    } catch (error) {
      tab.close();
      fail(error);
    }
  };
  return html`<a class="button" href=${`../watch/${parts(`${app}/${stream}`)}`} target="_blank" rel="noopener" aria-label=${`Open ${app}/${stream}`} onClick=${open}>Open</a>`;
}

/** Returns an error of a form as a sentence. The labels of the page replace the names of the daemon's fields. */
export function complaint({ message }, labels = {}) {
  const named = message.replace(/^field "(\w+)"/, (whole, field) => labels[field] ?? whole);
  return named.charAt(0).toUpperCase() + named.slice(1);
}

const PART = 100;

/** Returns one page of a long list, so that the document stays small, and the buttons for the other pages. */
export function usePart(rows, size = PART) {
  const [wanted, set] = useState(0);
  // A filter may leave fewer rows than the page begins with.
  const from = Math.min(wanted, Math.max(0, Math.ceil(rows.length / size) - 1) * size);
  const to = Math.min(from + size, rows.length);
  // A disabled button would lose the focus.
  const step = (label, at) => html`<button type="button" aria-disabled=${at < 0 || at >= rows.length}
    onClick=${() => at >= 0 && at < rows.length && set(at)}>${label}</button>`;
  const pages = rows.length > size && html`<p class="buttons pages">
    <span role="status">${from + 1} to ${to} of ${rows.length}</span> ${step("Previous", from - size)} ${step("Next", from + size)}</p>`;
  return [rows.slice(from, to), pages];
}

export const get = (path) => call("GET", path);

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (count >= 1000 && at < units.length - 1) { count /= 1000; at += 1; }
  return `${count >= 100 || at === 0 ? Math.round(count) : count.toFixed(1)} ${units[at]}`;
}

export const rate = (bits) => (bits >= 1e6 ? `${(bits / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bits / 1000)} kbit/s`);

export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const [days, hours, minutes] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}

export const when = (text) => (text ? new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "");
export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
export const part = encodeURIComponent;
/** Encodes the parts of a path, and keeps its slashes. */
export const parts = (text) => text.split("/").map(part).join("/");

/** Describes the load per core. */
export function load(perCore) {
  if (perCore < 0.3) return ["good", "low"];
  if (perCore < 0.5) return ["good", "normal"];
  return perCore < 0.8 ? ["notice", "high"] : ["bad", "very high"];
}
