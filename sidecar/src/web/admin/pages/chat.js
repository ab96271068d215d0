// The chat for moderators: rooms, messages, and bans. Names and texts of others are shown as plain text.

import { useEffect, useRef } from "preact/hooks";

import { call, can, chatters, list, refresh, streams } from "./api.js";
import { act, html, part, plural, say, show, span, useList, Waiting, Watch } from "./ui.js";

const UNDO_MS = 10000;
const REFRESH_MS = 2000;
const MOST = 200;
const SLOW = [[0, "off"], [5, "5 seconds"], [10, "10 seconds"], [30, "30 seconds"], [60, "1 minute"], [300, "5 minutes"]];
const TIMES = [[60, "1 minute"], [300, "5 minutes"], [3600, "1 hour"], [86400, "1 day"]];

export function Chat({ of: [app, stream] }) {
  return app && stream ? html`<${Room} ...${{ app, stream }} />` : html`<${Rooms} />`;
}

function Rooms() {
  const { value, error } = useList("chat");
  const names = new Set((streams.value ?? []).map((stream) => `${stream.app}/${stream.name}`));
  const live = (streams.value ?? []).filter((stream) => !names.has(stream.source));
  const rooms = new Map((value?.rooms ?? []).map((room) => [`${room.app}/${room.stream}`, room]));
  for (const { app, name } of live) {
    if (!rooms.has(`${app}/${name}`)) rooms.set(`${app}/${name}`, { app, stream: name, people: 0, slow_s: 0 });
  }
  const all = [...rooms.entries()].sort(([a, one], [b, two]) => two.people - one.people || a.localeCompare(b));
  return html`<h1>Chat</h1><${Waiting} ...${{ value, error }} />
    ${value && !value.enabled && html`<p class="empty">There is no chat on this server. Set enabled = true of [chat] in weir.toml.</p>`}
    ${value?.enabled && html`<p>${value.names === "open" ? "Everybody may write under a nickname." : "Only bearers of a chat token may write."}
      ${value.words.length > 0 ? ` ${plural(value.words.length, "word")} of the filter become stars: ` : " The word filter is empty: "}
      ${value.words.length > 0 ? html`<code>${value.words.join(", ")}</code>` : html`set <code>words</code> of [chat] in weir.toml.`}</p>
      ${all.length === 0 && html`<p class="empty">No stream is live, and nobody is in a chat.</p>`}
      ${all.length > 0 && html`<div class="scroll"><table><thead><tr><th scope="col">Room</th><th scope="col">People</th><th scope="col">Slow mode</th><th scope="col">Stream</th></tr></thead>
        <tbody>${all.map(([path, room]) => html`<tr key=${path}><th scope="row"><a href=${`#chat/${part(room.app)}/${part(room.stream)}`}>${path}</a></th>
          <td>${plural(room.people, "person", "people")}</td><td><span class="key">Slow mode </span>${room.slow_s ? `${room.slow_s} s` : "off"}</td><td>${names.has(path) ? html`<span class="pill good">live</span>` : "not live"}</td></tr>`)}</tbody></table></div>`}`}`;
}

/** Applies an action in a room. It can be undone for ten seconds: with `back`, or with the id that the server answers. */
function order(room, wanted, done, back) {
  return act(async () => {
    const { undo: id } = await call("POST", "chat", { ...room, ...wanted });
    const step = id ? { order: "undo", id } : back;
    const undo = act(async () => {
      // The server remembers an action for half a minute, and until its end.
      const lost = id ? "The server can no longer undo this. Lift it in the list of banned people." : "The server no longer has the message: it stays deleted.";
      await call("POST", "chat", { ...room, ...step }).catch((why) => { if (why.status !== 404) throw why; say(lost, { level: "bad" }); });
    });
    say(done, { ms: UNDO_MS, buttons: step ? [["Undo", undo]] : [] });
  });
}

const roomOf = ({ app, stream }) => `chat/room?app=${part(app)}&stream=${part(stream)}`;

function Room({ app, stream }) {
  const room = { app, stream };
  const name = roomOf(room);
  const { value, error } = useList(name);
  useEffect(() => {
    let timer = 0;
    const hear = (kind, data) => {
      if (data.app !== app || data.stream !== stream || kind === "chat.counts") return;
      const entry = list(name).value;
      if (kind === "chat.message" && entry.value) {
        const message = { id: data.id, name: data.from, text: data.text, at: data.at, verified: data.verified, moderator: data.moderator };
        entry.value = { ...entry.value, messages: [...entry.value.messages.slice(1 - MOST), message] };
        timer ||= setTimeout(() => { timer = 0; refresh(name); }, REFRESH_MS);
      } else {
        refresh(name);
      }
    };
    chatters.add(hear);
    return () => { chatters.delete(hear); clearTimeout(timer); };
  }, [name]);
  const mayModerate = can("moderator");
  const slow = (event) => {
    const seconds = Number(event.target.value);
    order(room, { order: "slow", seconds }, seconds ? `One message per person in ${seconds} seconds.` : "Slow mode is off.")();
  };
  return html`<p class="back"><a href="#chat">All rooms</a></p><h1>Chat of ${app}/${stream}</h1><${Waiting} ...${{ value, error }} />
    ${value && html`<div class="bar">
        <p class="grow">${plural(value.people, "person", "people")} here</p>
        <label class="inline">Slow mode <select value=${value.slow_s} disabled=${!mayModerate} onChange=${slow}>
          ${SLOW.map(([s, text]) => html`<option value=${s}>${text}</option>`)}${SLOW.every(([s]) => s !== value.slow_s) && html`<option value=${value.slow_s}>${value.slow_s} seconds</option>`}</select></label>
        <${Watch} ...${{ app, stream }} />
        <a class="button" download href=${`api/chat/messages?app=${part(app)}&stream=${part(stream)}&format=csv`}>Save as CSV</a></div>
      <div class="two"><section class="card" aria-labelledby="said"><h2 id="said">Messages</h2><${Messages} ...${{ room, value, mayModerate }} /></section>
      <div><${People} ...${{ room, value, mayModerate }} /><${Barred} ...${{ room, value, mayModerate }} /></div></div>`}`;
}

function Messages({ room, value, mayModerate }) {
  const place = useRef(null);
  const isAtEnd = useRef(true);
  const newest = value.messages.at(-1)?.id;
  useEffect(() => {
    if (isAtEnd.current && place.current) place.current.scrollTop = place.current.scrollHeight;
  }, [newest]);
  const look = ({ target }) => (isAtEnd.current = target.scrollTop + target.clientHeight > target.scrollHeight - 60);
  return html`<div class="said" role="log" aria-label="Messages" tabindex="0" ref=${place} onScroll=${look}>
    ${value.messages.length === 0 && html`<p class="empty">Nothing was said yet.</p>`}
    ${value.messages.map((one) => html`<div key=${one.id} class="line" data-message=${one.id}>
      <p><time datetime=${one.at}>${new Date(one.at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })}</time> <strong>${one.name}</strong>${one.moderator ? html` <span class="tag">moderator</span>` : one.verified ? html` <span class="tag">verified</span>` : ""} <span class="text">${one.text}</span></p>
      ${mayModerate && html`<${Actions} ...${{ room, who: one.name, address: one.address, id: one.id }} />`}</div>`)}</div>`;
}

/** Actions for a message and its author. */
function Actions({ room, who, address, id }) {
  const remove = order(room, { order: "delete", id }, `Deleted a message of ${who}.`, { order: "restore", id });
  const out = () => show(`Time out ${who}`, (close) => html`<${TimeOut} ...${{ room, who, id, close }} />`);
  const ban = async () => {
    // A message that has just arrived has no address until the room is requested again.
    if (id && !address) await refresh(roomOf(room));
    const known = address ?? list(roomOf(room)).value.value?.messages.find((one) => one.id === id)?.address;
    show(`Ban ${who}`, (close) => html`<${Ban} ...${{ room, who, id, address: known, close }} />`);
  };
  return html`<div class="buttons small">${id && html`<button type="button" aria-label=${`Delete the message of ${who}`} onClick=${remove}>Delete</button>`}
    <button type="button" aria-label=${`Time out ${who}`} onClick=${out}>Time out</button>
    <button type="button" class="danger" aria-label=${`Ban ${who}`} onClick=${ban}>Ban</button></div>`;
}

function TimeOut({ room, who, id, close }) {
  const submit = async (event) => {
    event.preventDefault();
    const seconds = Number(new FormData(event.target).get("time"));
    close();
    await order(room, { order: "timeout", who, id, seconds }, `${who} cannot write for ${span(seconds)}.`)();
  };
  return html`<form onSubmit=${submit}><p>${who} cannot write for this time, nor can others from the same address. Their messages go.</p>
    <label>Time <select name="time">${TIMES.map(([s, text]) => html`<option value=${s} selected=${s === 300}>${text}</option>`)}</select></label>
    <div class="buttons"><button type="button" onClick=${close}>Cancel</button><button class="primary">Time out</button></div></form>`;
}

function Ban({ room, who, id, address, close }) {
  const ban = (whom, done) => async () => {
    close();
    await order(room, { order: "ban", ...whom }, done)();
  };
  return html`<p>${who} cannot come back under this name or from the address they have now, until somebody lifts the ban. Others from the same address, for example in the same Wi-Fi, are banned too. Their messages go.</p>
    ${address && html`<p class="hint">Their address has the hash <code>${short(address)}</code>. Weir keeps no addresses.</p>`}
    <div class="buttons"><button type="button" onClick=${close}>Cancel</button>
      ${address && html`<button type="button" class="danger" onClick=${ban({ who: address }, `Banned the address ${short(address)}.`)}>Ban the address only</button>`}
      <button type="button" class="danger" onClick=${ban({ who, id }, `Banned ${who}.`)}>Ban</button></div>`;
}

const short = (address) => address.slice(0, 9);

function People({ room, value, mayModerate }) {
  const shown = value.named.slice(0, MOST);
  return html`<details class="card"><summary>People with a name (${value.named.length})</summary>
    ${shown.map((one) => html`<div class="line" key=${one.name + one.address}><p><strong>${one.name}</strong>${one.moderator ? html` <span class="tag">moderator</span>` : one.verified ? html` <span class="tag">verified</span>` : ""} <small title="Hash of the address">${short(one.address)}</small></p>
      ${mayModerate && !one.moderator && html`<${Actions} ...${{ room, who: one.name, address: one.address }} />`}</div>`)}
    ${value.named.length > MOST && html`<p class="hint">And ${value.named.length - MOST} more.</p>`}</details>`;
}

function Barred({ room, value, mayModerate }) {
  const all = [...value.timed_out, ...value.bans];
  return html`<section class="card" aria-labelledby="barred"><h2 id="barred">Banned and timed out</h2>
    ${all.length === 0 && html`<p class="hint">Nobody.</p>`}
    ${all.map((one) => html`<div class="line" key=${`${one.name} ${one.left_s}`} data-barred=${one.name}><p><strong>${one.name === one.address ? `address ${short(one.name)}` : one.name}</strong>${" "}
      <small>${one.left_s ? `for ${span(one.left_s)}` : "banned"}${one.address && one.name !== one.address ? `, with ${one.addresses > 1 ? plural(one.addresses, "address", "addresses") : `the address ${short(one.address)}`}` : ""}</small></p>
      ${mayModerate && html`<div class="buttons small"><button type="button" aria-label=${`Lift: let ${one.name} write again`}
        onClick=${order(room, { order: "unban", who: one.name }, `${one.name} may write again.`)}>Lift</button></div>`}</div>`)}</section>`;
}
