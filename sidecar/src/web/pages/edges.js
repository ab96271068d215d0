// Finds the server that a page plays from, and another one if it fails: asks /edge of the page's origin.

// Time in milliseconds during which an edge that did not answer is left out.
const GONE_MS = 10000;
const REACH_MS = 3000;

export class Edges {
  #ask;
  #at;
  #own;
  #gone = new Map();

  // `ask`: addresses of /edge; `at`: addresses of edges in the policy of the page; `own`: the edge that serves the page.
  constructor({ ask = [], at = [], own = null } = {}) {
    this.#ask = ask;
    this.#at = at;
    this.#own = own;
  }

  // Returns whether an edge serves the page: its viewer was sent here.
  get isEdge() {
    return this.#own !== null;
  }

  get own() {
    return this.#own;
  }

  // Records that this edge, given by name or address, did not answer.
  lost(edge) {
    if (edge) this.#gone.set(edge, performance.now());
  }

  #isGone(edge) {
    return performance.now() - (this.#gone.get(edge) ?? -Infinity) < GONE_MS;
  }

  // Returns whether the policy of the page allows playing from an address.
  covers(address) {
    const { origin } = new URL(address);
    return origin === location.origin || this.#at.some((edge) => new URL(edge).origin === origin);
  }

  // Returns { edge, address }, or { full: true }, or null if there is no edge. `without`: further edges to leave out. `isGuess`: no
  // origin has answered.
  async place(app, name, without = []) {
    const gone = [...this.#gone.keys()].filter((edge) => this.#isGone(edge));
    const not = [...gone, ...without].filter((edge) => edge && !edge.includes("/")).slice(-8);
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
    // No origin has answered.
    return this.other(without);
  }

  // Returns any edge in the policy of the page that has not failed recently.
  other(without = []) {
    const others = this.#at.filter((address) => !this.#isGone(address) && !without.includes(address));
    const address = others[Math.floor(Math.random() * others.length)];
    return address ? { edge: address, address, isGuess: true } : null;
  }
}
