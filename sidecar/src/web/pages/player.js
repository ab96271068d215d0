// Plays a live stream of weir serve on a <video>: over WebRTC, over WebSocket, as Low-Latency HLS or as ordinary HLS, in the order
// that the page sets. It falls back if a transport does not play within three seconds, and returns to a better transport when that
// plays again: it tries that one on a video that nobody sees, while the current one plays on.
//
//   const player = new WeirPlayer(video, { root: "/", app: "live", name: "show" });
//   player.addEventListener("state", (event) => console.log(event.detail.state, event.detail.tech));
//   player.start();
//
// With { edges: new Edges(...) }, it plays from the edge that the page's origin names, and moves to another edge if that edge
// fails.
//
// States: PENDING (the stream is not live, or does not play yet), PLAYING, STOPPED (the publisher is gone, or stop() was called),
// FAILED (this browser does not play the stream's codec, or the token is invalid), NOT_ENOUGH_BANDWIDTH (frames are skipped or lost). The event
// "uncovered" reports an edge that the policy of the page does not include: the page must reload.

const START_MS = 3000;
// The same for ordinary HLS, which is the last one and waits for a whole segment.
const START_HLS_MS = 6000;
// Time for which a transport must play before it counts as one that works here: the first playlist of HLS alone plays for a moment.
const WORKS_MS = 5000;
// An edge fetches the stream first, so the player waits longer before it falls back.
const PULL_MS = 10000;
// Time during which the state reports a slow connection after a sign of it.
const SLOW_MS = 5000;
// Time until the player tries a better transport. It doubles with each try that fails.
const CLIMB_MS = 20000;
const MOST_CLIMB_MS = 600000;
// Time for which a better transport must play before the player switches to it, and longest pause of the current one meanwhile.
const PROOF_MS = 2000;
const DISTURBED_MS = 500;
// A better transport that fails earlier than this after the switch counts as a try that failed.
const STEADY_MS = 60000;
const POLL_MS = 1500;
// Interval between requests while all edges are full.
const FULL_MS = 5000;
// Time after which the player tries a stream again whose codec no transport can play here: its publisher may have changed it.
const OTHER_CODEC_MS = 30000;
// Time without media after which the player asks whether the server is still there. After the same time without an answer, the player
// may move to another server.
const SILENT_MS = 800;
// If the answer takes longer than ASK_MS, the player asks the origin for another server. If it takes longer than WARM_MS, the player
// makes that server fetch the stream.
const ASK_MS = 250;
const WARM_MS = 450;
const REACH_MS = 3000;
// Time without a message over WebSocket after which the player asks the server for one, and longest wait for it. A network path may fail
// without closing the connection. A server that has answered is asked less often until media arrives.
const PING_MS = 1000;
const PONG_MS = 1500;
const LOST_MS = 8000;
const PING_AGAIN_MS = 5000;
// Buffer ahead of the current position, in seconds: AIM is the target, which grows after a stall up to MOST_AIM.
const AIM = 0.25;
const MOST_AIM = 1.5;
// Time after a stall during which the target does not shrink again.
const HOLD_MS = 10000;
// The player is faster from this distance beyond the target on, until it is within the second one, in seconds.
const FAR = 0.08;
const NEAR = 0.02;
const LOST = 3;
const KEEP_BEHIND = 10;
// Most captions that the player keeps. Each row of roll-up captions counts as one.
const MOST_CUES = 200;

// Longest waits of hls.js for the first byte of an answer: of a file, and of a playlist, which the server keeps for up to 6 seconds until
// the next part is there. The rest of the answer may take longer, because the viewer's network may be slow.
const FIRST_BYTE_MS = 4000;
const HELD_BYTE_MS = 7000;

const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

export class WeirPlayer extends EventTarget {
  #video;
  #options;
  #techs;
  #tech = 0;
  #way = null;
  #state = "";
  #reason = null;
  // The transport that the last event of the state has named.
  #told = null;
  #timers = new Set();
  #running = false;
  #climbAt = 0;
  #climbTimer = null;
  // Number of tries of better transports that have failed, and time of the last switch to one.
  #climbs = 0;
  #climbedAt = -Infinity;
  // The transport that plays on a video that nobody sees.
  #candidate = null;
  // The network has changed, so earlier tries say nothing.
  #renewed = () => {
    this.#climbs = 0;
    if (this.#running && this.#way && this.#tech > 0) this.#climbLater(1000);
  };
  #tracks = new Map();
  // The server that the player plays from, and its name if it is an edge.
  #base;
  #edge;
  // Number of the current attempt. It increases with each start, so that answers to earlier requests are ignored.
  #turn = 0;
  #slowUntil = 0;
  // The transports that cannot play the stream's codec here, since one of them played.
  #unfit = new Set();
  // Times at which the current transport began to play, and at which it was last seen to play.
  #playedFrom = null;
  #playedTo = 0;

  constructor(video, options) {
    super();
    this.#video = video;
    this.#options = { token: null, tech: ["whep", "ws", "llhls", "hls"], autoplay: true, ...options };
    this.#base = this.#home();
    this.#edge = this.#options.edges?.own ?? null;
    this.#techs = this.#playable(this.#options.tech);
  }

  get state() {
    return this.#state;
  }

  get tech() {
    return this.#techs[this.#tech] ?? null;
  }

  // Returns the name of the edge that the player plays from; null for the server of the page.
  get edge() {
    return this.#edge;
  }

  // Returns the address of the server that the player plays from.
  get base() {
    return this.#base;
  }

  // Returns the seconds of media ahead of the current position.
  get latency() {
    return this.#way?.latency() ?? null;
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    if (this.#techs.length === 0) return this.#enter("FAILED", "this browser plays none of the formats");
    addEventListener("online", this.#renewed);
    navigator.connection?.addEventListener("change", this.#renewed);
    this.#enter("PENDING");
    this.#try();
  }

  // Plays another stream of this server instead, such as a rendition.
  play(app, name) {
    if (app === this.#options.app && name === this.#options.name) return;
    Object.assign(this.#options, { app, name });
    this.#slowUntil = 0;
    this.#unfit.clear();
    this.#enter("PENDING");
    if (this.#running) this.#try();
  }

  // Plays over these transports only; `null` means those of the page. Keeps the current transport if it is one of them.
  use(tech) {
    const techs = this.#playable(tech ?? this.#options.tech);
    if (techs.length === 0) return;
    const at = techs.indexOf(this.tech);
    this.#unfit.clear();
    [this.#techs, this.#tech, this.#climbAt, this.#climbs] = [techs, Math.max(0, at), 0, 0];
    if (!this.#running) return;
    if (at > 0) this.#climbLater(0);
    if (at >= 0) return;
    this.#enter("PENDING");
    this.#try();
  }

  // Returns the track of captions with this name. The video keeps it, because browsers cannot remove it.
  captions(name) {
    if (!this.#tracks.has(name)) {
      this.#tracks.set(name, this.#video.addTextTrack("captions", `CC ${this.#tracks.size + 1}`));
    }
    return this.#tracks.get(name);
  }

  #playable(tech) {
    return tech.filter((one) => Object.hasOwn(WAYS, one) && WAYS[one].isSupported(this.#video));
  }

  stop() {
    this.#running = false;
    removeEventListener("online", this.#renewed);
    navigator.connection?.removeEventListener("change", this.#renewed);
    this.#end();
    this.#enter("STOPPED", "stopped by the page");
  }

  url(path, scheme) {
    const { app, name, token } = this.#options;
    const url = new URL(`${this.#base}/stream/${app}/${name}/${path}`);
    if (token) url.searchParams.set("token", token);
    if (scheme) url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url.href;
  }

  // Returns the address of a file on the page's own server.
  asset(name) {
    return `${this.#home()}/assets/${name}`;
  }

  #home() {
    return new URL(this.#options.root, location.href).href.replace(/\/$/, "");
  }

  #enter(state, reason = null) {
    const { tech } = this;
    if (state === this.#state && reason === this.#reason && (tech === this.#told || state !== "PLAYING")) return;
    [this.#state, this.#reason, this.#told] = [state, reason, tech];
    this.dispatchEvent(new CustomEvent("state", { detail: { state, reason, tech } }));
  }

  #later(action, ms) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  #end() {
    this.#turn += 1;
    this.#candidate?.end(false);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#way?.close();
    this.#way = null;
  }

  // Returns "live", "elsewhere" (the server fetches the stream on demand), "off" (there is no such stream) or "away" (the server
  // does not answer).
  async #look(ms = REACH_MS) {
    const { app, name } = this.#options;
    try {
      const response = await fetch(`${this.#base}/v1/live`, { cache: "no-store", signal: AbortSignal.timeout(ms) });
      if (response.status >= 500) return "away";
      const { streams, on_demand: others = [] } = await response.json();
      const has = (list) => list.some((stream) => stream.app === app && stream.name === name);
      return has(streams) ? "live" : has(others) ? "elsewhere" : "off";
    } catch {
      return "away";
    }
  }

  // Finds a server: on a page of an origin an edge, if there is one. Returns false if the player has no server to play from now.
  async #settle(turn) {
    const { edges, app, name } = this.#options;
    if (!edges || this.#edge !== null) return true;
    const place = await edges.place(app, name);
    if (!this.#isCurrent(turn)) return false;
    if (place?.full) {
      this.#enter("PENDING", "all servers are full");
      this.#later(() => this.#try(), FULL_MS);
      return false;
    }
    return !place || this.#goTo(place);
  }

  // Returns false if the page has to reload for this edge.
  #goTo({ edge, address }) {
    if (!this.#options.edges.covers(address)) {
      this.#later(() => this.#try(), POLL_MS);
      this.dispatchEvent(new CustomEvent("uncovered", { detail: { edge, address } }));
      return false;
    }
    [this.#edge, this.#base] = [edge, address.replace(/\/$/, "")];
    this.#tech = 0;
    return true;
  }

  #goHome() {
    this.#edge = this.#options.edges?.own ?? null;
    this.#base = this.#home();
  }

  // Leaves the failed server and plays from another one: from `asked`, if an origin has already answered.
  async #move(asked) {
    this.#end();
    const turn = this.#turn;
    const { edges, app, name } = this.#options;
    edges.lost(this.#edge);
    edges.lost(this.#base);
    let place = asked === undefined ? await edges.place(app, name) : asked;
    if (!this.#isCurrent(turn)) return;
    // This edge joined after the page was loaded: another edge is better than a reload of the page.
    if (place?.address && !edges.covers(place.address)) place = edges.other() ?? place;
    if (this.#state !== "STOPPED") this.#enter("PENDING", place?.full ? "all servers are full" : "the server does not answer");
    if (place?.address) {
      if (this.#goTo(place)) this.#try(true);
      return;
    }
    this.#goHome();
    this.#later(() => this.#try(), POLL_MS);
  }

  #isCurrent(turn) {
    return this.#running && turn === this.#turn;
  }

  // `isPlaced`: the page's origin has just named this server, so the player requests media without asking first whether the stream is live.
  async #try(isPlaced = false) {
    this.#end();
    const turn = this.#turn;
    let there = null;
    if (!isPlaced) {
      const seen = await this.#look();
      if (!this.#isCurrent(turn)) return;
      if (seen === "away" && this.#options.edges) return this.#move();
      if (seen === "off" || seen === "away") {
        return this.#wait(seen === "away" ? "the server does not answer" : "the stream is not live");
      }
      const asked = this.#base;
      if (!(await this.#settle(turn))) return;
      if (this.#base === asked) there = seen;
    }
    there ??= this.#look();
    const way = this.#make(this.tech, this.#video);
    this.#way = way;
    this.#playedFrom = null;
    const startMs = this.tech === "hls" ? START_HLS_MS : START_MS;
    way.open();
    if (this.#options.autoplay) this.#video.play().catch(() => {});
    const giveUp = () => {
      if (way === this.#way && !way.hasPlayed && !this.#video.paused) this.#failed("it did not begin in time");
    };
    this.#later(async () => {
      if ((await there) !== "elsewhere") giveUp();
      else if (way === this.#way) this.#later(giveUp, PULL_MS - startMs);
    }, startMs);
    if (this.#tech > 0) {
      this.#climbAt = this.#climbAt || performance.now() + this.#pause();
      this.#climbLater(Math.max(1000, this.#climbAt - performance.now()));
    }
  }

  // Returns a transport that plays on `video`. Only the current one and the candidate are listened to.
  #make(tech, video) {
    const way = new WAYS[tech](video, this, {
      playing: () => (way === this.#way ? this.#playing() : way === this.#candidate?.way && this.#candidate.playing()),
      stopped: () => (way === this.#way ? this.#enter("STOPPED", "the publisher is gone") : refuse()),
      quiet: (mayWait = false) => (way === this.#way ? this.#quiet(way, mayWait) : refuse()),
      silent: () => way === this.#way && this.#silent(way),
      skipped: () => (way === this.#way ? this.#skipped() : refuse()),
      failed: (reason, isUnfit) => (way === this.#way ? this.#failed(reason, isUnfit) : refuse()),
    });
    const refuse = () => way === this.#candidate?.way && this.#candidate.end(false);
    return way;
  }

  #playing() {
    this.#way.hasPlayed = true;
    this.#playedTo = performance.now();
    this.#playedFrom ??= this.#playedTo;
    this.#rounds = 0;
    this.#unfit.clear();
    if (performance.now() >= this.#slowUntil) this.#enter("PLAYING");
  }

  // Tries again in a moment.
  #wait(reason) {
    this.#end();
    if (this.#state !== "STOPPED") this.#enter("PENDING", reason);
    this.#later(() => this.#try(), POLL_MS);
  }

  // Nothing arrives: if the stream is live, the network path is broken. With `mayWait`, media may also be late.
  async #quiet(way, mayWait) {
    const { arrivals } = way;
    const seen = await this.#look();
    if (!this.#running || way !== this.#way || way.arrivals !== arrivals) return;
    if (seen === "away") return this.#options.edges ? this.#move() : this.#wait("the server does not answer");
    if (mayWait && seen !== "off") return;
    if (seen === "live" || seen === "elsewhere") return this.#failed("nothing new comes");
    this.#enter("STOPPED", "the publisher is gone");
  }

  // Nothing has arrived for a moment: the player stays if the server answers or media arrives. It moves if the server is away, or if an
  // origin names another server first. If neither answers, the viewer's own network may have failed, so the player waits up to the time
  // limit of the request.
  async #silent(way) {
    const { edges, app, name } = this.#options;
    if (!edges || way.isAsking) return;
    way.isAsking = true;
    const { arrivals } = way;
    const isSilent = () => this.#running && way === this.#way && way.arrivals === arrivals;
    let place = null;
    const ask = () => (place ??= edges.place(app, name, [this.#edge, this.#base]));
    const look = this.#look();
    // All viewers notice a pause of the publisher at the same time, so the player asks the origin only if this server does not answer.
    const isPause = this.#state === "STOPPED" || way.answered === arrivals;
    const seen = await (isPause ? look : Promise.race([look, this.#awaitOther(look, ask, isSilent)]));
    if (seen !== "away") {
      way.answered = arrivals;
    } else if (isSilent()) {
      const next = await ask();
      if (isSilent()) this.#move(next);
    }
    way.isAsking = false;
  }

  // Returns "away" if an origin names another server before `look` has an answer, or else that answer.
  async #awaitOther(look, ask, isSilent) {
    const begin = performance.now();
    const until = (ms) => new Promise((resolve) => setTimeout(resolve, begin + ms - performance.now()));
    let isOpen = true;
    look.then(() => (isOpen = false));
    await until(ASK_MS);
    if (!isOpen || !isSilent()) return look;
    const [next] = await Promise.all([ask(), until(WARM_MS)]);
    if (!isOpen || !isSilent() || !next?.address || next.isGuess) return look;
    if (this.#options.edges.covers(next.address)) this.#warm(next.address);
    await until(SILENT_MS);
    return isSilent() ? "away" : look;
  }

  // Makes another server fetch the stream.
  #warm(address) {
    const base = this.#base;
    this.#base = address.replace(/\/$/, "");
    fetch(this.url("llhls/master.m3u8"), { cache: "no-store", signal: AbortSignal.timeout(REACH_MS) }).catch(() => {});
    this.#base = base;
  }

  #skipped() {
    this.#slowUntil = performance.now() + SLOW_MS;
    this.#enter("NOT_ENOUGH_BANDWIDTH", "the connection is slower than the stream");
  }

  // Number of rounds in which all transports failed since one of them played.
  #rounds = 0;

  // `isUnfit`: the transport does not play the stream's codec here.
  async #failed(reason, isUnfit = false) {
    const worked = this.#playedFrom !== null && this.#playedTo - this.#playedFrom >= WORKS_MS;
    this.#end();
    if (isUnfit) this.#unfit.add(this.tech);
    else this.#unfit.delete(this.tech);
    if (this.#techs.every((tech) => this.#unfit.has(tech))) {
      this.#enter("FAILED", "this browser does not play the codec of the stream");
      this.#later(() => this.#try(), OTHER_CODEC_MS);
      return;
    }
    if (this.#state !== "STOPPED") this.#enter("PENDING", reason);
    const turn = this.#turn;
    const seen = await this.#look();
    if (!this.#isCurrent(turn)) return;
    if (seen === "away") return this.#options.edges ? this.#move() : this.#wait("the server does not answer");
    const isRefused = await this.#isRefused();
    if (!this.#isCurrent(turn)) return;
    if (isRefused) return this.#enter("FAILED", "the link is not valid, or has expired");
    // After a connection that worked, the same transport is tried first.
    if (!worked && (seen === "live" || seen === "elsewhere")) {
      this.#tech = (this.#tech + 1) % this.#techs.length;
      if (this.#tech === 0) this.#rounds += 1;
      const wasShort = performance.now() - this.#climbedAt < STEADY_MS;
      [this.#climbs, this.#climbedAt] = [wasShort ? this.#climbs + 1 : 0, -Infinity];
    }
    // If no transport plays, the pauses between attempts grow.
    const nothingPlays = !worked && this.#tech === 0 && this.#rounds > 0;
    this.#later(() => this.#try(), nothingPlays ? Math.min(5000, 500 * 2 ** this.#rounds) : worked ? 300 : 100);
  }

  async #isRefused() {
    try {
      const response = await fetch(this.url("llhls/init-0.mp4"), { cache: "no-store", signal: AbortSignal.timeout(REACH_MS) });
      return response.status === 403;
    } catch {
      return false;
    }
  }

  // Tries better transports beside the current one, and switches to the first that plays.
  async #climb() {
    this.#climbAt = 0;
    const [turn, techs] = [this.#turn, this.#techs];
    const isStill = this.#video.paused || performance.now() < this.#slowUntil;
    for (const [index, tech] of isStill ? [] : techs.slice(0, this.#tech).entries()) {
      const mayPlay = await WAYS[tech].mayReturn(this).catch(() => false);
      if (!this.#isCurrent(turn) || techs !== this.#techs) return;
      const way = mayPlay ? await this.#rehearse(tech) : null;
      if (!this.#isCurrent(turn) || techs !== this.#techs) return way?.moveTo && way.close();
      if (way) return this.#switch(index, way);
    }
    if (!isStill) this.#climbs += 1;
    this.#climbLater(this.#pause());
  }

  // Returns a transport once it has played for a while on a video that nobody sees; null if it does not, or if the current one stops
  // meanwhile.
  #rehearse(tech) {
    return new Promise((resolve) => {
      const video = document.createElement("video");
      Object.assign(video, { muted: true, autoplay: true, playsInline: true });
      const way = this.#make(tech, video);
      const begin = performance.now();
      let [since, position, movedAt] = [null, this.#video.currentTime, begin];
      const watch = setInterval(() => {
        const now = performance.now();
        if (this.#video.currentTime !== position) [position, movedAt] = [this.#video.currentTime, now];
        if (now - movedAt > DISTURBED_MS || now - begin > START_MS + PROOF_MS) end(false);
      }, 100);
      const end = (plays) => {
        clearInterval(watch);
        this.#candidate = null;
        // Other media than that of WebRTC belongs to this video.
        if (!plays || !way.moveTo) {
          way.close();
          video.removeAttribute("src");
          video.load();
        }
        resolve(plays ? way : null);
      };
      const playing = () => {
        [way.hasPlayed, since] = [true, since ?? performance.now()];
        if (performance.now() - since >= PROOF_MS) end(true);
      };
      video.addEventListener("waiting", () => (since = null));
      // Browsers begin a video that nobody sees only when asked, and each new source pauses it.
      video.addEventListener("canplay", () => video.play().catch(() => {}));
      this.#candidate = { way, end, playing };
      way.open();
    });
  }

  // Switches to a better transport that plays.
  #switch(index, way) {
    this.#end();
    [this.#tech, this.#climbedAt] = [index, performance.now()];
    if (!way.moveTo) return this.#try(true);
    this.#way = way;
    this.#playedFrom = null;
    way.moveTo(this.#video);
    this.#playing();
    if (index > 0) this.#climbLater(this.#pause());
  }

  // Returns the time until the next try of better transports, in milliseconds.
  #pause() {
    return Math.min(MOST_CLIMB_MS, CLIMB_MS * 2 ** this.#climbs);
  }

  #climbLater(ms) {
    clearTimeout(this.#climbTimer);
    this.#timers.delete(this.#climbTimer);
    this.#climbTimer = this.#later(() => this.#climb(), ms);
  }
}

// Plays over WebRTC (WHEP).
class OverWebRtc {
  hasPlayed = false;
  // Number of times that media has arrived.
  arrivals = 0;
  #video;
  #player;
  #on;
  #session = null;
  #timer = null;
  #packets = 0;
  #decoded = 0;
  #quiet = 0;
  #loss = { packets: 0, lost: 0, checks: 0, bad: 0 };
  #buffered = { delay: 0, count: 0 };
  #latency = null;
  #closed = false;

  static isSupported() {
    return typeof RTCPeerConnection !== "undefined";
  }

  // Returns whether the player may switch to this transport from a worse one.
  static async mayReturn() {
    return true;
  }

  constructor(video, player, on) {
    this.#video = video;
    this.#player = player;
    this.#on = on;
  }

  async open() {
    const session = new Session(this.#player.url("whep"));
    this.#session = session;
    session.peer.addEventListener("track", ({ receiver, streams }) => {
      // The jitter buffer adds no delay for smoothness.
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      const stream = this.#video.srcObject ?? streams[0] ?? new MediaStream();
      if (!stream.getTracks().includes(receiver.track)) stream.addTrack(receiver.track);
      this.#video.srcObject = stream;
      if (this.#video.autoplay) this.#video.play().catch(() => {});
    });
    session.peer.addEventListener("connectionstatechange", () => {
      if (["failed", "closed", "disconnected"].includes(session.peer.connectionState)) {
        this.#on.failed("the connection was closed");
      }
    });
    try {
      await session.begin();
    } catch (error) {
      return this.#on.failed(String(error.message ?? error), error.isUnfit);
    }
    if (this.#closed) return;
    this.#timer = setInterval(() => this.#watch().catch(() => {}), 250);
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#session?.end();
    this.#video.srcObject = null;
  }

  // Shows the media on another video.
  moveTo(video) {
    [video.srcObject, this.#video.srcObject] = [this.#video.srcObject, null];
    this.#video = video;
    video.play().catch(() => {});
  }

  // Returns the seconds that a frame waits in the browser.
  latency() {
    return this.#latency;
  }

  async #watch() {
    let [packets, decoded, lost] = [0, 0, 0];
    const kinds = new Set();
    for (const report of (await this.#session.peer.getStats()).values()) {
      if (report.type !== "inbound-rtp") continue;
      packets += report.packetsReceived;
      if (report.packetsReceived > 0) kinds.add(report.kind);
      if (report.kind !== "video") continue;
      decoded = report.framesDecoded ?? 0;
      lost = report.packetsLost ?? 0;
      const { jitterBufferDelay: delay = 0, jitterBufferEmittedCount: count = 0 } = report;
      if (count > this.#buffered.count) {
        this.#latency = (delay - this.#buffered.delay) / (count - this.#buffered.count);
        this.#buffered = { delay, count };
      }
    }
    if (this.#closed) return;
    const plays = kinds.has("video") ? decoded > this.#decoded : packets > this.#packets;
    this.#quiet = packets > this.#packets ? 0 : this.#quiet + 1;
    if (this.#quiet === 0) this.arrivals += 1;
    [this.#packets, this.#decoded] = [packets, decoded];
    if (this.#loses(packets, lost)) this.#on.skipped();
    if (plays && this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) this.#on.playing();
    if (this.#quiet === 4 && this.hasPlayed) this.#on.silent();
    // Nothing has arrived for two seconds: the publisher is gone, or the network path is broken.
    if (this.#quiet === 8 && this.hasPlayed) this.#on.quiet();
  }

  // Returns whether more than 10 % of the packets were lost in each of the last three seconds. The server also sees the loss, and
  // sends a smaller rendition if there is one.
  #loses(packets, lost) {
    const last = this.#loss;
    last.checks += 1;
    if (last.checks % 4 !== 0) return false;
    const [came, missing] = [packets - last.packets, Math.max(0, lost - last.lost)];
    last.bad = missing > (came + missing) / 10 ? last.bad + 1 : 0;
    [last.packets, last.lost] = [packets, lost];
    return last.bad >= 3;
  }
}

// Returns the STUN and TURN servers of a Link header (RFC 9725, 4.6).
function iceServersOf(link) {
  const quoted = (text, name) => new RegExp(`;\\s*${name}="((?:[^"\\\\]|\\\\.)*)"`).exec(text)?.[1].replace(/\\(.)/g, "$1");
  const links = (link ?? "").match(/<[^>]*>(?:"(?:[^"\\]|\\.)*"|[^,"])*/g) ?? [];
  return links.filter((one) => /;\s*rel="?ice-server"?/.test(one)).map((one) => {
    const [urls, username, credential] = [one.slice(1, one.indexOf(">")), quoted(one, "username"), quoted(one, "credential")];
    return username === undefined ? { urls } : { urls, username, credential };
  });
}

// Begins to connect. A browser takes the servers only before it gathers addresses, and it gathers them from `setLocalDescription` on.
export async function connect(peer, offer, response) {
  const iceServers = iceServersOf(response.headers.get("Link"));
  if (iceServers.length > 0) peer.setConfiguration({ ...peer.getConfiguration(), iceServers });
  await peer.setLocalDescription(offer);
  await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
}

// A WHEP session.
class Session {
  peer = new RTCPeerConnection();
  #url;
  #location = null;
  #ended = false;

  constructor(url) {
    this.#url = url;
    this.peer.addTransceiver("video", { direction: "recvonly" });
    this.peer.addTransceiver("audio", { direction: "recvonly" });
  }

  async begin() {
    const offer = await this.peer.createOffer();
    // The server sends stereo; a browser that does not ask for it plays one channel.
    offer.sdp = offer.sdp.replace(/useinbandfec=1/g, "useinbandfec=1;stereo=1");
    const headers = { "Content-Type": "application/sdp" };
    const response = await fetch(this.#url, { method: "POST", headers, body: offer.sdp });
    if (response.status !== 201) {
      const answer = await response.json().catch(() => null);
      const error = new Error(answer?.error?.message ?? `the server answered ${response.status}`);
      // The server answers with this code if WebRTC does not carry the stream; another 409 says nothing about the codec.
      throw Object.assign(error, { isUnfit: answer?.error?.code === "unsuitable" });
    }
    this.#location = new URL(response.headers.get("Location"), this.#url).href;
    if (this.#ended) return this.end();
    await connect(this.peer, offer, response);
  }

  end() {
    this.#ended = true;
    this.peer.close();
    if (this.#location) fetch(this.#location, { method: "DELETE", keepalive: true }).catch(() => {});
    this.#location = null;
  }
}

// Plays fragmented MP4 over WebSocket, through Media Source Extensions.
class OverWebSocket {
  hasPlayed = false;
  arrivals = 0;
  #video;
  #player;
  #on;
  #socket = null;
  #source = null;
  #buffer = null;
  #queue = [];
  #timer = null;
  #aim = AIM;
  #position = 0;
  #stuck = 0;
  // Time of the last media, of the last message, and of a request for a message that is not answered yet.
  #heard = performance.now();
  #answered = performance.now();
  #asked = 0;
  #looked = 0;
  #hasPonged = false;
  // Whether the last message was an answer to such a request.
  #isPong = false;
  // Whether the publisher is gone; the rest of the buffer still plays.
  #isOver = false;
  #holdUntil = 0;
  #waiting = () => {
    if (!this.hasPlayed) return;
    this.#aim = Math.min(MOST_AIM, this.#aim + 0.1);
    this.#holdUntil = performance.now() + HOLD_MS;
  };

  static isSupported() {
    return Source !== undefined && typeof WebSocket !== "undefined";
  }

  static async mayReturn() {
    return true;
  }

  constructor(video, player, on) {
    this.#video = video;
    this.#player = player;
    this.#on = on;
  }

  open() {
    this.#source = new Source();
    this.#video.disableRemotePlayback = true;
    this.#video.src = URL.createObjectURL(this.#source);
    this.#source.addEventListener("sourceopen", () => {
      URL.revokeObjectURL(this.#video.src);
      this.#connect();
    }, { once: true });
    this.#timer = setInterval(() => this.#steer(), 100);
    this.#video.addEventListener("waiting", this.#waiting);
  }

  #connect() {
    this.#socket = new WebSocket(this.#player.url("ws", true));
    this.#socket.binaryType = "arraybuffer";
    this.#heard = performance.now();
    this.#socket.onmessage = ({ data }) => {
      const event = typeof data === "string" ? JSON.parse(data) : null;
      [this.#answered, this.#asked, this.#isPong] = [performance.now(), 0, event?.type === "pong"];
      this.#hasPonged ||= this.#isPong;
      if (this.#isPong) return;
      this.#heard = performance.now();
      this.arrivals += 1;
      if (event) this.#event(event);
      else this.#append(data);
    };
    // Finds out whether this server answers pings.
    this.#socket.onopen = () => this.#socket.send("ping");
    this.#socket.onclose = () => this.#on.failed("the connection was closed");
  }

  close() {
    clearInterval(this.#timer);
    this.#video.removeEventListener("waiting", this.#waiting);
    if (this.#socket) {
      this.#socket.onclose = null;
      this.#socket.close();
    }
    this.#video.playbackRate = 1;
    this.#queue = [];
  }

  latency() {
    const { buffered, currentTime } = this.#video;
    return buffered.length === 0 ? null : buffered.end(buffered.length - 1) - currentTime;
  }

  #event(event) {
    if (event.type === "init") {
      const type = `video/mp4; codecs="${event.codecs}"`;
      if (!Source.isTypeSupported(type)) return this.#on.failed(`this browser does not play ${event.codecs}`, true);
      this.#queue.push({ type });
      this.#pump();
    } else if (event.type === "skipped") {
      this.#on.skipped();
    } else if (event.type === "ended") {
      this.#isOver = true;
      this.#on.stopped();
    }
  }

  #append(data) {
    this.#isOver = false;
    this.#queue.push({ data });
    this.#pump();
  }

  // Applies one change at a time: the buffer reports when it is ready for the next one.
  #pump() {
    if (this.#source?.readyState !== "open" || this.#buffer?.updating) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    try {
      if (next.type && this.#buffer) {
        this.#buffer.changeType(next.type);
        this.#pump();
      } else if (next.type) {
        this.#buffer = this.#source.addSourceBuffer(next.type);
        this.#buffer.addEventListener("updateend", () => this.#pump());
        this.#pump();
      } else {
        this.#buffer.appendBuffer(next.data);
      }
    } catch (error) {
      if (error.name !== "QuotaExceededError") return this.#on.failed(String(error));
      this.#queue.unshift(next);
      this.#trim(1);
    }
  }

  #trim(keep) {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || buffer.buffered.length === 0) return;
    const end = this.#video.currentTime - keep;
    if (buffer.buffered.start(0) < end - KEEP_BEHIND) buffer.remove(0, end);
  }

  // Asks a silent server for a message; fails if none comes.
  #ping() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const now = performance.now();
    if (this.#asked > 0) {
      const late = now - this.#asked;
      // A large frame on a slow line delays the answer, and older servers give none: they may be reached otherwise.
      if (late > LOST_MS && this.#hasPonged) {
        this.#on.failed("the server does not answer");
      } else if (late > PONG_MS && now - this.#looked > PONG_MS) {
        this.#looked = now;
        this.#on.quiet(true);
      }
    } else if (now - this.#answered > (this.#isPong ? PING_AGAIN_MS : PING_MS)) {
      this.#asked = now;
      this.#socket.send("ping");
    }
  }

  // Keeps the distance to live by changing the playback rate; jumps over gaps, and if the distance is too large.
  #steer() {
    if (this.hasPlayed && performance.now() - this.#heard > (this.#isOver ? 4 : 1) * SILENT_MS) {
      this.#heard = performance.now();
      this.#on.silent();
    }
    this.#ping();
    const video = this.#video;
    const { buffered } = video;
    if (buffered.length === 0) return;
    const last = buffered.length - 1;
    const [start, end] = [buffered.start(last), buffered.end(last)];
    const distance = end - video.currentTime;
    if (video.currentTime < start || distance > LOST || distance < 0) {
      const to = Math.max(start, end - this.#aim);
      if (end - start > 0.05 && Math.abs(to - video.currentTime) > 0.02) video.currentTime = to;
    } else if (distance > this.#aim + (video.playbackRate > 1 ? NEAR : FAR)) {
      // Once it is faster, it stays so until the distance is right.
      video.playbackRate = distance > this.#aim + 0.6 ? 1.25 : distance > this.#aim + 0.15 ? 1.08 : 1.04;
    } else if (distance < this.#aim - 0.15) {
      video.playbackRate = 0.95;
    } else {
      video.playbackRate = 1;
      if (performance.now() > this.#holdUntil) this.#aim = Math.max(AIM, this.#aim - 0.002);
    }
    const moves = video.currentTime !== this.#position;
    this.#position = video.currentTime;
    this.#stuck = moves || video.paused ? 0 : this.#stuck + 1;
    if (moves && !this.#isOver && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) this.#on.playing();
    // Media arrives but playback does not advance: the player restarts the decoder.
    if (this.#stuck > 50 && distance > 1) this.#on.failed("the picture stands still");
    this.#trim(2);
  }
}

// Errors of hls.js that name a codec which the browser does not play.
const UNFIT = new Set(["manifestIncompatibleCodecsError", "bufferAddCodecError", "bufferIncompatibleCodecsError"]);

// Plays HLS: with hls.js if the browser has Media Source Extensions, otherwise with the browser's own player.
class OverHls {
  static lowLatency = false;
  hasPlayed = false;
  arrivals = 0;
  #video;
  #player;
  #on;
  #hls = null;
  // Captions by their ids: the track and the cue.
  #cues = new Map();
  #timer = null;
  #position = 0;
  #still = 0;
  #closed = false;

  // Ordinary HLS is the last fallback, so the player never returns to it from a worse transport.
  static async mayReturn() {
    return false;
  }

  static isSupported(video) {
    return Source !== undefined || video.canPlayType("application/vnd.apple.mpegurl") !== "";
  }

  constructor(video, player, on) {
    this.#video = video;
    this.#player = player;
    this.#on = on;
  }

  async open() {
    const { lowLatency } = this.constructor;
    let url = this.#player.url("llhls/master.m3u8");
    this.#timer = setInterval(() => this.#watch(), 100);
    try {
      await loadHls(this.#player.asset("hls.min.js"));
    } catch {
      return this.#on.failed("hls.js does not load");
    }
    if (this.#closed) return;
    if (!globalThis.Hls?.isSupported()) {
      this.#video.src = url;
      return;
    }
    // It begins with a part, so the server need not wait for a whole segment.
    if (lowLatency) url += `${url.includes("?") ? "&" : "?"}parts=1`;
    this.#hls = new Hls({ lowLatencyMode: lowLatency, enableWorker: false, backBufferLength: KEEP_BEHIND, liveSyncDurationCount: 2,
      maxLiveSyncPlaybackRate: 1.1, renderTextTracksNatively: false,
      fragLoadPolicy: patience(FIRST_BYTE_MS, 120000, 6),
      playlistLoadPolicy: patience(lowLatency ? HELD_BYTE_MS : FIRST_BYTE_MS, 20000, 2) });
    this.#hls.on(Hls.Events.CUES_PARSED, (_event, parsed) => this.#caption(parsed));
    this.#hls.on(Hls.Events.FRAG_LOADED, () => (this.arrivals += 1));
    this.#hls.on(Hls.Events.ERROR, (_event, error) => {
      if (error.fatal) this.#on.failed(error.details, UNFIT.has(error.details));
      else if (error.type === Hls.ErrorTypes.NETWORK_ERROR) this.#on.silent();
    });
    this.#hls.loadSource(url);
    this.#hls.attachMedia(this.#video);
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#hls?.destroy();
    for (const [track, cue] of this.#cues.values()) track.removeCue(cue);
  }

  // hls.js itself shows captions only if video and audio are in separate files, and with tracks that the policy of the page forbids.
  #caption({ type, cues, track: name }) {
    if (type !== "captions" || this.#closed) return;
    const track = this.#player.captions(name);
    for (const cue of cues.filter(({ id }) => !this.#cues.has(id))) {
      track.addCue(cue);
      this.#cues.set(cue.id, [track, cue]);
    }
    while (this.#cues.size > MOST_CUES) {
      const [id, [old, cue]] = this.#cues.entries().next().value;
      old.removeCue(cue);
      this.#cues.delete(id);
    }
  }

  latency() {
    return this.#hls?.latency || null;
  }

  #watch() {
    const moves = this.#video.currentTime !== this.#position;
    this.#position = this.#video.currentTime;
    this.#still = moves || this.#video.paused ? 0 : this.#still + 1;
    if (moves && this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) this.#on.playing();
    if (this.#still === 9 && this.hasPlayed) this.#on.silent();
    // The server may be away; or the publisher pauses, and the player waits for a while.
    if (this.#still === 25 && this.hasPlayed) this.#on.quiet(true);
    if (this.#still === 80 && this.hasPlayed) this.#on.failed("nothing new comes");
  }
}

// Returns a policy of hls.js like its defaults, with another wait for the first byte. hls.js replaces a policy as a whole.
function patience(maxTimeToFirstByteMs, maxLoadTimeMs, maxNumRetry) {
  return { default: { maxTimeToFirstByteMs, maxLoadTimeMs,
    timeoutRetry: { maxNumRetry: 4, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry, retryDelayMs: 1000, maxRetryDelayMs: 8000 } } };
}

class OverLowLatencyHls extends OverHls {
  static lowLatency = true;

  // The browser's own player makes no difference between both kinds of HLS.
  static async mayReturn(player) {
    await loadHls(player.asset("hls.min.js"));
    return globalThis.Hls?.isSupported() ?? false;
  }
}

const WAYS = { whep: OverWebRtc, ws: OverWebSocket, llhls: OverLowLatencyHls, hls: OverHls };

let loading = null;

function loadHls(src) {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = src;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
  return loading;
}
