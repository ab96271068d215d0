// Where a page may play from, and where else when a server dies: asks /edge of the page's origin.

// An edge that did not answer is left out for this time.
const GONE_MS = 10000;
const REACH_MS = 3000;

export class Edges {
  #ask;
  #at;
  #own;
  #gone = new Map();

  // `ask`: addresses of /edge; `at`: addresses of edges that the policy of the page names; `own`: the edge that serves the page.
  constructor({ ask = [], at = [], own = null } = {}) {
    this.#ask = ask;
    this.#at = at;
    this.#own = own;
  }

  // Whether the page is an edge's: its viewer was sent here.
  get isEdge() {
    return this.#own !== null;
  }

  get own() {
    return this.#own;
  }

  // This edge, by its name or address, did not answer.
  lost(edge) {
    if (edge) this.#gone.set(edge, performance.now());
  }

  #isGone(edge) {
    return performance.now() - (this.#gone.get(edge) ?? -Infinity) < GONE_MS;
  }

  // Whether the policy of the page lets it play from an address.
  covers(address) {
    const { origin } = new URL(address);
    return origin === location.origin || this.#at.some((edge) => new URL(edge).origin === origin);
  }

  // { edge, address }, or { full: true }, or null where there is no edge.
  async place(app, name) {
    const not = [...this.#gone.keys()].filter((edge) => this.#isGone(edge) && !edge.includes("/")).slice(-8);
    for (const ask of this.#ask) {
      const url = new URL(ask, location.href);
      url.searchParams.set("stream", `${app}/${name}`);
      for (const edge of not) url.searchParams.append("not", edge);
      try {
        const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(REACH_MS) });
        const answer = await response.json();
        if (response.ok) return answer;
        if (answer.error.code === "full") return { full: true };
        if (answer.error.code === "no_edge") return null;
      } catch {
        // The next origin may answer.
      }
    }
    // No origin answers.
    return this.other();
  }

  // Any edge that the policy of the page names and that is not known to be gone.
  other() {
    const others = this.#at.filter((address) => !this.#isGone(address));
    const address = others[Math.floor(Math.random() * others.length)];
    return address ? { edge: address, address } : null;
  }
}
