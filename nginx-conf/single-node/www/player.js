"use strict";

// Plays a live HLS stream in a <video>: waits until the stream exists, plays it, detects its end, and starts again. If there are several
// playlists for the same stream, it uses the first that exists.
//
//   waiting -> playing -> lost -> playing ...
//   refused: nginx needs a token, and the page has none that is valid. This state is final.
//
// hls.js plays if the browser has Media Source Extensions; otherwise the browser itself plays.

const RETRY_MS = 2000;
const WATCH_MS = 500;
// Two fragments: the buffer may cover a shorter interruption.
const SILENCE_MS = 4000;

// Longest wait of hls.js for the first byte of an answer. The rest may take longer, because the viewer's network may be slow.
const FIRST_BYTE_MS = 4000;

// Returns a policy of hls.js like its defaults, with another wait for the first byte. hls.js replaces a policy as a whole.
function patience(maxLoadTimeMs, maxNumRetry) {
  return { default: { maxTimeToFirstByteMs: FIRST_BYTE_MS, maxLoadTimeMs,
    timeoutRetry: { maxNumRetry: 4, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry, retryDelayMs: 1000, maxRetryDelayMs: 8000 } } };
}

class Refused extends Error {}

class LivePlayer {
  #video;
  #urls;
  #onState;
  #hls = null;
  #attached = false;
  #state = "";
  #stale = new Map();
  #position = 0;
  #movedAt = 0;

  // `onState` is called with "waiting", "playing", "lost" or "refused", each time it changes.
  constructor(video, urls, onState) {
    this.#video = video;
    this.#urls = urls;
    this.#onState = onState;
  }

  static isSupported(video) {
    return LivePlayer.#hasHls() || video.canPlayType("application/vnd.apple.mpegurl") !== "";
  }

  static #hasHls() {
    return typeof Hls !== "undefined" && Hls.isSupported();
  }

  start() {
    this.#video.addEventListener("error", () => this.#lose());
    setInterval(() => this.#watch(), WATCH_MS);
    this.#enter("waiting");
    this.#connect();
  }

  // Seconds between the shown frame and the end of the newest fragment, or null if only the browser knows.
  behind() {
    const latency = this.#hls?.latency;
    return latency > 0 ? latency : null;
  }

  #enter(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#onState(state);
  }

  // Requests the playlists before it creates a player, because a stream that does not exist yet is no error. After a loss, the old
  // playlist may remain for some seconds; it is ignored until it changes.
  async #connect() {
    let refused = 0;
    for (const url of this.#urls) {
      try {
        const fragments = await LivePlayer.#fetchFragments(url);
        if (fragments !== null && fragments !== this.#stale.get(url)) return this.#attach(url);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        refused += 1;
      }
    }
    if (refused === this.#urls.length) return this.#enter("refused");
    setTimeout(() => this.#connect(), RETRY_MS);
  }

  // Returns the playlist with the fragments: this one, or the first of a master playlist. Null if there is none, or
  // if the stream has ended.
  static async #fetchFragments(url) {
    const text = await LivePlayer.#fetchPlaylist(url);
    const variant = text.match(/^#EXT-X-STREAM-INF:.*\n([^#\s].*)$/m)?.[1];
    if (variant !== undefined) return LivePlayer.#fetchFragments(new URL(variant, url).href);
    return text.includes("#EXTINF") && !text.includes("#EXT-X-ENDLIST") ? text : null;
  }

  // nginx.conf answers 204 for a playlist that does not exist: the browser's console would show a 404 as an error.
  static #withoutError(url) {
    const asked = new URL(url);
    asked.searchParams.set("absent", "204");
    return asked.href;
  }

  // Returns the text, empty if there is no playlist. Throws Refused if nginx refuses the viewer.
  static async #fetchPlaylist(url) {
    let response;
    try {
      response = await fetch(LivePlayer.#withoutError(url), { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (response.ok) return await response.text();
    } catch {
      return "";
    }
    if (response.status === 403) throw new Refused();
    return "";
  }

  #attach(url) {
    this.#attached = true;
    this.#position = this.#video.currentTime;
    this.#movedAt = performance.now();
    if (LivePlayer.#hasHls()) {
      this.#attachHls(url);
    } else {
      this.#video.src = url;
    }
    this.#play();
  }

  #attachHls(url) {
    // Its worker would be a script from a blob: URL, which the page's Content-Security-Policy forbids. If a playlist disappears,
    // the stream has ended.
    const xhrSetup = (xhr, url) => {
      if (/\.m3u8(\?|$)/.test(url)) xhr.open("GET", LivePlayer.#withoutError(url), true);
    };
    const hls = new Hls({ enableWorker: false, liveSyncDurationCount: 2, liveMaxLatencyDurationCount: 5, xhrSetup,
      fragLoadPolicy: patience(120000, 6), playlistLoadPolicy: patience(20000, 2) });
    let mended = false;
    hls.on(Hls.Events.ERROR, (_event, error) => {
      if (!error.fatal || hls !== this.#hls) return;
      if (error.type === Hls.ErrorTypes.MEDIA_ERROR && !mended) {
        mended = true;
        hls.recoverMediaError();
      } else {
        this.#lose();
      }
    });
    hls.loadSource(url);
    hls.attachMedia(this.#video);
    this.#hls = hls;
  }

  // A browser that forbids autoplay leaves the video paused; its play button starts it.
  #play() {
    this.#video.play().catch(() => {});
  }

  #watch() {
    if (!this.#attached) return;
    const now = performance.now();
    if (this.#video.ended) {
      this.#lose();
    } else if (this.#video.currentTime !== this.#position) {
      this.#position = this.#video.currentTime;
      this.#movedAt = now;
      if (this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) this.#enter("playing");
    } else if (this.#video.paused && this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
      this.#movedAt = now;
    } else if (now - this.#movedAt > SILENCE_MS) {
      this.#lose();
    }
  }

  async #lose() {
    if (!this.#attached) return;
    this.#attached = false;
    this.#enter(this.#state === "waiting" ? "waiting" : "lost");
    if (this.#hls) {
      this.#hls.destroy();
      this.#hls = null;
    } else {
      this.#video.removeAttribute("src");
      this.#video.load();
    }
    for (const url of this.#urls) this.#stale.set(url, await LivePlayer.#fetchFragments(url));
    setTimeout(() => this.#connect(), RETRY_MS);
  }
}
