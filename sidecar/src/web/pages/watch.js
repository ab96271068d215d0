// The elements around the player: before and after the stream, viewers, sharing, quality, technical facts, and the chat.

import { facts, isLate, startText, t, viewers, when } from "./texts.js";
import { player } from "./page.js";
import { isRenditionOf } from "./renditions.js";

const { root, app, name } = document.body.dataset;
const base = new URL(root, location.href).href.replace(/\/$/, "");
const lang = document.documentElement.lang;
const field = (id) => document.getElementById(id);
const video = field("video");
const query = new URLSearchParams(location.search);

// Before and after the stream.

const nextEvent = () => facts.events.find((event) => Date.parse(event.start) > Date.now());
const runningEvent = () =>
  facts.events.findLast((event) => Date.parse(event.start) <= Date.now() && Date.parse(event.end) > Date.now());
if (facts.poster) video.poster = facts.poster;

function spanOf(ms) {
  const total = Math.max(0, Math.floor(ms / 1000));
  const [days, hours, minutes, seconds] = [total / 86400, (total / 3600) % 24, (total / 60) % 60, total % 60].map(Math.floor);
  const two = (number) => String(number).padStart(2, "0");
  const inDays = new Intl.NumberFormat(lang, { style: "unit", unit: "day", unitDisplay: "long" });
  return `${days > 0 ? `${inDays.format(days)}, ` : ""}${two(hours)}:${two(minutes)}:${two(seconds)}`;
}

let state = "PENDING";
let failure = "";
let hasPlayed = false;
// Last time at which the page saw that the stream was live.
let liveAt = 0;
// The last message of `/v1/ws` about the stream; "" if none came in this connection.
let news = "";
// Why the last publisher is gone, as `/v1/ws` says; `null` if the reason is unknown, `undefined` if no message came.
let lastEnd;
// Reasons after which the publisher is not expected to return.
const OVER = ["unpublished", "dropped"];
// Only the server of the publisher knows whether the publisher may return; an edge has no such messages.
const isEdge = Boolean(facts.edges?.own);

// An address that names no stream has no chat.
const isStream = () => isEdge || facts.known || facts.events.length > 0 || hasPlayed || !["", "stream.ended"].includes(news);

// A screen reader reads each change of the text, so an equal text is not set again.
function put(id, text) {
  if (field(id).textContent !== text) field(id).textContent = text;
}

function showCountdown(text) {
  field("countdown").hidden = text === "";
  field("countdown").textContent = text;
}

function showOffline() {
  const isOff = state === "STOPPED" || (state === "PENDING" && !hasPlayed && document.body.dataset.offline === "yes");
  field("offline").hidden = !isOff && state !== "FAILED";
  // The browser's controls would show through the message.
  video.controls = field("offline").hidden;
  const canBeBeside = document.pictureInPictureEnabled && field("offline").hidden;
  field("pip").hidden = !canBeBeside && !document.pictureInPictureElement;
  field("viewers").hidden = isOff;
  if (state === "FAILED") {
    put("offline-text", failure);
    showCountdown("");
  }
  if (!isOff) return;
  if (!isEdge && (news === "stream.interrupted" || (state === "STOPPED" && hasPlayed && !["", "stream.ended"].includes(news)))) {
    // The player notices a loss before the server tells the reason.
    put("offline-text", news === "stream.interrupted" ? t("interrupted") : t("waiting"));
    showCountdown("");
    return;
  }
  const [event, next] = [runningEvent(), nextEvent()];
  // The publisher of a running event may return, unless it has ended the stream.
  const hasBegun = event && (event.was_live || liveAt >= Date.parse(event.start));
  const reason = isEdge ? null : lastEnd === undefined ? event?.last_end : lastEnd;
  const isOver = event ? hasBegun && OVER.includes(reason) : state === "STOPPED" && hasPlayed;
  if (hasBegun && reason === "disconnected") {
    put("offline-text", t("interrupted"));
    showCountdown("");
    return;
  }
  const announced = next && (!event || hasBegun) ? t("next_on", { title: next.title, time: when(new Date(next.start)) }) : "";
  const isKnown = facts.events.length > 0 || facts.known;
  const text = isOver ? t("ended")
    : hasBegun ? t("interrupted_or_over")
    : event && isLate(event) ? startText(event)
    : isKnown ? t("offline") : t("unknown_stream");
  const isForMembers = isKnown && !hasBegun && !isOver && facts.protected && !facts.invited;
  put("offline-text", [text, isForMembers ? t("members_only") : "", announced].filter(Boolean).join(" "));
  const isSoon = event && !hasBegun && !isLate(event);
  const isNext = next && (!event || isOver);
  showCountdown(isSoon ? startText(event) : isNext ? t("starts_in", { time: spanOf(Date.parse(next.start) - Date.now()) }) : "");
}

document.addEventListener("weir-state", ({ detail }) => {
  if (state === "PLAYING" || detail.state === "PLAYING") liveAt = Date.now();
  state = detail.state;
  hasPlayed ||= state === "PLAYING";
  document.body.dataset.offline = detail.state === "PENDING" && detail.offline ? "yes" : "no";
  if (state === "PLAYING") {
    lookAtLive();
    showChat();
  }
  failure = detail.text;
  if (state !== "PENDING" || detail.offline) field("status").hidden ||= ["PENDING", "STOPPED", "FAILED"].includes(state);
  showOffline();
});

// Sharing, and picture-in-picture.

// Whether viewers need a token, which the shared address does not contain.
let isProtected = facts.protected || query.has("token");

field("share").addEventListener("click", async () => {
  const url = `${base}/watch/${app}/${name}`;
  put("share-note", isProtected ? t("share_own") : "");
  try {
    if (navigator.share) return await navigator.share({ title: document.title, url });
    await navigator.clipboard.writeText(url);
    field("share").textContent = t("copied");
  } catch {
    // The user cancelled, or the browser has no clipboard: the address bar shows the address.
  }
});
field("pip").addEventListener("click", () => {
  (document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture()).catch(() => {});
});

// Captions, if the stream has them: hls.js reads CEA-608 from H.264 and HEVC. The player gets captions only from HLS, so it plays HLS
// while captions are shown.

const HLS = ["llhls", "hls"];
const tracks = () => [...video.textTracks].filter(({ kind }) => kind === "captions" || kind === "subtitles");
let hasCaptions = false;
let wantsCaptions = false;

function showCaptions() {
  field("captions").hidden = !hasCaptions && !wantsCaptions;
  field("captions").setAttribute("aria-pressed", String(wantsCaptions));
}

function setCaptions() {
  for (const [at, track] of tracks().entries()) track.mode = wantsCaptions && at === 0 ? "showing" : "disabled";
  showCaptions();
}
video.textTracks.addEventListener("addtrack", setCaptions);
// The browser's own controls show and hide captions, too.
video.textTracks.addEventListener("change", () => {
  if (tracks().length > 0) wantsCaptions = tracks().some(({ mode }) => mode === "showing");
  showCaptions();
});
field("captions").addEventListener("click", () => {
  wantsCaptions = !wantsCaptions;
  setCaptions();
  player.use(wantsCaptions ? HLS : null);
});

// Another device plays the playlist itself, if the browser supports that (Remote Playback API, AirPlay).

const distant = document.createElement("video");
distant.preload = "none";
distant.src = player.url("llhls/master.m3u8");
distant.remote?.watchAvailability?.((isThere) => (field("cast").hidden = !isThere)).catch(() => {});
distant.remote?.addEventListener?.("connect", () => {
  player.stop();
  distant.play().catch(() => {});
});
distant.remote?.addEventListener?.("disconnect", () => player.start());
// The user may select no device.
field("cast").addEventListener("click", () => distant.remote.prompt().catch(() => {}));

// Quality: renditions over RTMP are separate streams.

async function lookAtLive() {
  try {
    const { streams } = await (await fetch(`${player.base}/v1/live`, { cache: "no-store" })).json();
    const own = streams.find((stream) => stream.app === app && stream.name === name);
    hasCaptions = own?.captions === true;
    isProtected = own?.protected ?? isProtected;
    showCaptions();
    const select = field("quality");
    if (own && select.options.length === 0) {
      select.append(new Option(t("auto"), ""), new Option(`${own.video?.height ?? 0}p`, "source"));
    }
    const others = streams.filter((other) => isRenditionOf(other, { app, name }));
    for (const other of others) {
      if (![...select.options].some((option) => option.value === `${other.app}/${other.name}`)) {
        select.append(new Option(`${other.video?.height ?? 0}p`, `${other.app}/${other.name}`));
      }
    }
    // "Automatic" and the source alone play the same.
    field("quality-field").hidden = !(own?.video?.height > 0) || select.options.length < 3;
  } catch {
    // The next request may succeed.
  }
}
field("quality").addEventListener("change", () => {
  const [toApp, toName] = field("quality").value.includes("/") ? field("quality").value.split(/\/(?=[^/]+$)/) : [app, name];
  player.play(toApp, toName);
});

// Technical facts.

const TRANSPORTS = { whep: "WebRTC", ws: "WebSocket", llhls: "LL-HLS", hls: "HLS" };
const LOADS = [[0.3, "load_low"], [0.5, "load_medium"], [0.8, "load_high"]];

export function loadWord(load) {
  if (typeof load !== "number" || !Number.isFinite(load)) return t("no_value");
  return t(LOADS.find(([below]) => load < below)?.[1] ?? "load_full");
}

async function lookAtNode() {
  const node = await fetch(`${player.base}/v1/node`, { cache: "no-store" }).then((response) => response.json()).catch(() => ({}));
  // Load per core over the last minute.
  const { load } = node;
  field("fact-node").textContent = node.name || t("no_value");
  field("fact-load").textContent = typeof load === "number" ? `${loadWord(load)} (${load.toFixed(2)})` : t("no_value");
}

// The fraction alone would be all that is shown.
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 1, hourCycle: "h23" };

setInterval(() => {
  showOffline();
  if (!field("facts").open) return;
  const { tech, latency } = document.body.dataset;
  field("clock").textContent = new Date().toLocaleTimeString(lang, CLOCK);
  field("fact-tech").textContent = TRANSPORTS[tech] ?? t("no_value");
  field("fact-latency").textContent = latency ? `${Number(latency).toFixed(2)} s` : t("no_value");
  field("fact-dropped").textContent = video.getVideoPlaybackQuality?.().droppedVideoFrames ?? t("no_value");
}, 200);
field("facts").addEventListener("toggle", () => field("facts").open && lookAtNode());
setInterval(() => field("facts").open && lookAtNode(), 10000);

// Messages of the server, and the chat.

const list = field("chat-list");
let socket = null;
let me = "";
try {
  me = localStorage.getItem("weir-name") ?? "";
} catch {
  // This browser stores nothing for this page.
}
let isModerator = false;
// Whether the last join has succeeded.
let isIn = false;
field("chat-name").value = me;

function button(key, message) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = t(key);
  made.addEventListener("click", () => send(message));
  return made;
}

// The sign of a moderator or of a verified name is an element before the name, so that nobody can write it into a name or a text.
function badge({ moderator, verified }) {
  if (!moderator && !verified) return [];
  const sign = document.createElement("abbr");
  sign.className = "badge";
  sign.textContent = moderator ? "★" : "✓";
  sign.title = moderator ? t("chat_moderator") : t("chat_verified");
  sign.setAttribute("role", "img");
  sign.setAttribute("aria-label", sign.title);
  return [sign, " "];
}

function show(message) {
  const item = document.createElement("p");
  item.dataset.id = message.id;
  // The numbers of messages grow even if the server's clock is set back.
  const order = Number(message.id.slice(1));
  item.dataset.order = order;
  item.dataset.from = message.name.toLowerCase();
  item.dataset.verified = message.verified;
  const time = document.createElement("time");
  time.dateTime = message.at;
  time.textContent = new Date(message.at).toLocaleTimeString(lang, { hour: "2-digit", minute: "2-digit" });
  const who = document.createElement("strong");
  who.textContent = message.name;
  const text = document.createElement("span");
  // Messages are shown as plain text, never as markup; links are also plain text.
  text.textContent = message.text;
  item.append(time, " ", ...badge(message), who, " ", text);
  if (isModerator) {
    const { id, name: from } = message;
    item.append(" ", button("chat_delete", { type: "chat.delete", id }),
      button("chat_timeout", { type: "chat.timeout", name: from, id, seconds: 300 }),
      button("chat_ban", { type: "chat.ban", name: from, id }));
  }
  const isAtEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 40;
  // A restored message returns to its earlier position.
  list.insertBefore(item, [...list.children].find((other) => Number(other.dataset.order) > order) ?? null);
  while (list.children.length > 200) list.firstChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function join() {
  isIn = false;
  const token = query.get("chat_token") ?? query.get("token") ?? undefined;
  send({ type: "join", app, stream: name, name: me || undefined, token });
}

let hasChat = false;

function showChat() {
  if (hasChat && isStream()) field("chat").hidden = false;
}

// Errors that may refuse a join, although there is a chat.
const REFUSALS = ["banned", "name_taken", "no_name"];

const HEARD = {
  viewers: ({ viewers: counts }) => {
    field("viewers").textContent = viewers(Object.values(counts).reduce((sum, count) => sum + count, 0));
  },
  "chat.welcome": (message) => {
    isIn = true;
    hasChat = true;
    showChat();
    put("chat-error", "");
    showSlow(message.slow_s);
    isModerator = message.moderator;
    myself = message;
    field("chat-name").hidden = message.verified || message.names === "token";
    field("chat-people").textContent = t("chat_people", { n: message.people });
    list.replaceChildren();
  },
  "chat.people": ({ people }) => (field("chat-people").textContent = t("chat_people", { n: people })),
  chat: (message) => {
    if (message.text === pending.trim()) pending = "";
    show(message);
  },
  "chat.restored": ({ message }) => !list.querySelector(`[data-id="${CSS.escape(message.id)}"]`) && show(message),
  "chat.deleted": ({ id }) => list.querySelector(`[data-id="${CSS.escape(id)}"]`)?.remove(),
  "chat.cleared": (message) => {
    const isMeant = ({ dataset }) =>
      dataset.from === message.name.toLowerCase() && [undefined, dataset.verified].includes(message.verified?.toString());
    for (const item of [...list.children].filter(isMeant)) item.remove();
    const isMe = message.name.toLowerCase() === myself?.name?.toLowerCase() && [undefined, myself.verified].includes(message.verified);
    if (isMe && !isModerator) refuse(message.seconds === undefined ? "banned" : "timed_out", message.seconds, "");
  },
  "chat.slow": ({ seconds }) => showSlow(seconds, true),
  // The server tells this connection (`you`) if its network had the ban, or the name of somebody else.
  "chat.forgiven": ({ name: who, you }) => {
    const isMe = me !== "" && who.toLowerCase() === me.toLowerCase();
    if (!(isMe && isSilenced) && !you) return;
    isSilenced = false;
    field("chat-error").textContent = "";
    note(t("chat_forgiven"));
    // The join was refused.
    if (!isIn) join();
  },
  error: ({ code, message, seconds }) => {
    isIn &&= code !== "not_joined";
    // The page already shows why the join was refused.
    if (code === "not_joined" && field("chat-error").textContent) return;
    // Without the section, a refused viewer would not know that there is a chat.
    hasChat ||= REFUSALS.includes(code);
    showChat();
    refuse(code, seconds, message);
    // Refused texts can be changed and sent again.
    if (pending && code !== "chat_off") field("chat-text").value ||= pending;
  },
};

// Says why a message has no effect. `message` is for a reason without a text in the page's language.
function refuse(code, seconds, message) {
  isSilenced ||= code === "banned" || code === "timed_out";
  const key = `chat_error_${code}`;
  const end = new Date(Date.now() + (seconds ?? 0) * 1000);
  const isToday = end.toDateString() === new Date().toDateString();
  const text = code === "timed_out" && !isToday ? t("chat_error_timed_out_day", { time: when(end) })
    : t(key, { time: end.toLocaleTimeString(lang, { timeStyle: "medium" }) });
  // An earlier version does not tell how long a time-out lasts.
  field("chat-error").textContent = text === key || (code === "timed_out" && !seconds) ? message : text;
  note("");
}

// Shows a notice for some seconds; otherwise the slow mode is shown.
const NOTICE_MS = 10000;
let slowText = "";
let notice = "";
let noticeTimer;

function note(text) {
  notice = text;
  put("chat-notice", notice || slowText);
  clearTimeout(noticeTimer);
  if (text) noticeTimer = setTimeout(() => note(""), NOTICE_MS);
}

function showSlow(seconds, isNews) {
  slowText = seconds > 0 ? t("chat_slow", { n: seconds }) : "";
  if (isNews) note(seconds > 0 ? "" : t("chat_slow_off"));
  else put("chat-notice", notice || slowText);
}

// Whether this person was told of a ban or time-out.
let isSilenced = false;
// The last `chat.welcome`.
let myself = null;
let pending = "";
let wait = 1000;

// A browser may keep a page that was left, with its connection: its viewer would still be counted in the chat.
let isLeft = false;
let nextTry;

function connect() {
  const own = new WebSocket(`${base.replace(/^http/, "ws")}/v1/ws`);
  socket = own;
  socket.addEventListener("open", () => {
    wait = 1000;
    join();
  });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    HEARD[message.type]?.(message);
    if (!message.type.startsWith("stream.")) return;
    const isEnd = message.type === "stream.ended";
    if (!isEnd || !["", "stream.ended"].includes(news)) liveAt = Date.now();
    lastEnd = isEnd ? message.reason ?? null : null;
    news = message.type;
    showOffline();
    showChat();
  });
  socket.addEventListener("close", () => {
    if (isLeft || socket !== own) return;
    news = "";
    nextTry = setTimeout(connect, wait);
    wait = Math.min(30000, wait * 2);
  });
}

addEventListener("pagehide", () => {
  isLeft = true;
  clearTimeout(nextTry);
  socket?.close();
});
addEventListener("pageshow", ({ persisted }) => {
  isLeft = false;
  if (persisted) connect();
});

field("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  field("chat-error").textContent = "";
  const wanted = field("chat-name").value.trim();
  const isOther = wanted !== me;
  if (isOther) {
    me = wanted;
    try {
      localStorage.setItem("weir-name", me);
    } catch {
      // This browser stores nothing for this page.
    }
  }
  if (isOther || !isIn) join();
  if (socket?.readyState !== WebSocket.OPEN) {
    put("chat-error", t("chat_error_unavailable"));
    return;
  }
  pending = field("chat-text").value;
  send({ type: "chat", text: pending });
  field("chat-text").value = "";
});

lookAtLive();
setInterval(lookAtLive, 10000);
connect();
