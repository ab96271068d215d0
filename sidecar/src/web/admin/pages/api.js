// The dashboard's data, and its requests to the daemon. One event stream carries every change; when it reports that a list changed,
// the dashboard requests the list again.

import { batch, computed, signal } from "@preact/signals";

/** Logged-in account: undefined while unknown, null if nobody is logged in. */
export const user = signal(undefined);
/** Reason why nobody is logged in: the error code of the daemon's answer. */
export const closed = signal("");
/** Live streams as the daemon reports them, or null while nginx does not answer. */
export const streams = signal([]);
/** Time at which the daemon read the live streams, by the daemon's clock, in seconds since 1970. */
export const readAt = signal(Date.now() / 1000);
/** Bitrates of the last ten minutes by "app/name": [[seconds, bit/s], ...]. */
export const bitrates = signal({});
/** Whether the chat is enabled. */
export const hasChat = signal(false);
/** Events, the newest last: {id, kind, data}. */
export const events = signal([]);
/** Whether the event stream is connected. */
export const online = signal(true);
/** Time of the daemon's clock, in seconds. */
export const now = signal(Date.now() / 1000);
/** Seconds by which the daemon's clock is ahead of this browser's. */
export const skew = signal(0);

const KEPT_S = 600;
const MOST_EVENTS = 500;
const RANK = { viewer: 0, moderator: 1, admin: 2 };

/** Returns whether the logged-in user's role includes this role. */
export const can = (role) => computed(() => user.value && RANK[user.value.role] >= RANK[role]).value;

/** An error answer, with the daemon's message. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Sends a request to the daemon; returns the JSON of the answer, or throws {@link Refused}. */
export async function call(method, path, body, keepalive = false) {
  const options = { method, keepalive, headers: {} };
  if (method !== "GET") {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body ?? {});
  }
  let answer;
  try {
    answer = await fetch(`api/${path}`, options);
  } catch {
    throw new Refused(0, "unreachable", "The server does not answer.");
  }
  const json = await answer.json().catch(() => ({}));
  if (answer.ok) return json;
  const { code = "failed", message = `The server answers ${answer.status}.` } = json.error ?? {};
  if (answer.status === 401 && path !== "login" && path !== "password") leave(code);
  throw new Refused(answer.status, code, message);
}

/** Resets the state after a logout. */
export function leave(code = "unauthorized") {
  batch(() => {
    closed.value = code;
    user.value = null;
  });
  source?.close();
  source = null;
}

/** Requests the logged-in account. */
export async function who() {
  try {
    enter(await call("GET", "session"));
  } catch (error) {
    if (error.status !== 401) leave(error.code);
  }
}

/** Sets the state after a login. */
export function enter(account) {
  user.value = account;
  listen();
}

const lists = {};

/** Returns a list of the daemon; the list is requested when it is first shown and after each change. */
export function list(name) {
  lists[name] ??= { value: signal(null), error: signal(""), running: null, next: null };
  return lists[name];
}

/** Requests a list again, and returns after an answer that was asked for later than this call. Calls during a request cause only one further request. */
export function refresh(name) {
  const entry = list(name);
  if (!entry.running) return (entry.running = request(name, entry));
  return (entry.next ??= entry.running.then(() => {
    entry.next = null;
    return refresh(name);
  }));
}

async function request(name, entry) {
  try {
    const value = await call("GET", name);
    batch(() => {
      entry.value.value = value;
      entry.error.value = "";
    });
  } catch (error) {
    entry.error.value = error.message;
  }
  entry.running = null;
}

function changed(...names) {
  for (const name of names) if (lists[name]) refresh(name);
}

/** Listeners for chat events: functions of the event's kind and data. */
export const chatters = new Set();

/** Lists that an event changes. */
const CHANGES = { key: ["keys"], target: ["targets"], job: ["jobs", "inputs"], recording: ["recordings"], stream: ["jobs", "inputs"], edge: ["edges"] };

let source = null;

function listen() {
  source?.close();
  source = new EventSource("api/feed");
  const on = (kind, take) => source.addEventListener(kind, (event) => take(JSON.parse(event.data)));
  source.onopen = () => (online.value = true);
  source.onerror = () => {
    online.value = false;
    // The request finds the reason; a browser reconnects by itself unless the server refused.
    if (source?.readyState === EventSource.CLOSED) setTimeout(() => user.value && who(), 2000);
    else call("GET", "session").catch(() => {});
  };
  on("hello", (hello) => batch(() => {
    skew.value = Date.parse(hello.at) / 1000 - Date.now() / 1000;
    streams.value = hello.streams;
    readAt.value = Date.parse(hello.at) / 1000;
    bitrates.value = hello.bitrates;
    events.value = hello.events;
    hasChat.value = hello.chat;
    changed(...Object.keys(lists));
  }));
  for (const name of ["edges", "node"]) on(name, (told) => (list(name).value.value = told));
  on("streams", (told) => batch(() => {
    streams.value = told.streams;
    readAt.value = Date.parse(told.at) / 1000;
    remember(told);
  }));
  on("event", (event) => {
    if (event.kind.startsWith("chat.")) for (const hear of chatters) hear(event.kind, event.data);
    // Only the chat view shows chat messages.
    if (event.kind === "chat.message") return;
    events.value = [...events.value.slice(1 - MOST_EVENTS), event];
    const subject = event.kind.startsWith("admin.") ? event.kind.slice(6) : event.kind.split(".")[0];
    changed(...(CHANGES[subject] ?? []));
  });
  on("changed", ({ what }) => {
    if (what === "jobs") changed("inputs");
    // The people and messages of a room are lists of their own.
    if (what === "chat") changed(...Object.keys(lists).filter((one) => one.startsWith("chat/room")));
    changed(what);
  });
  on("missed", () => changed(...Object.keys(lists)));
}

function remember(told) {
  const at = Date.parse(told.at) / 1000;
  const next = {};
  for (const stream of told.streams) {
    const path = `${stream.app}/${stream.name}`;
    const before = (bitrates.value[path] ?? []).filter(([then]) => then > at - KEPT_S);
    next[path] = [...before, [at, stream.bitrate_in]];
  }
  bitrates.value = next;
}

setInterval(() => (now.value = Date.now() / 1000 + skew.value), 1000);
