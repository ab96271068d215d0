// Viewers per minute by kind, as stacked areas. The graph is SVG, so that it prints well.

import { useEffect, useRef, useState } from "preact/hooks";

import { html } from "./ui.js";

const KINDS = [["hls", "HLS"], ["llhls", "LL-HLS"], ["dash", "DASH"], ["ws", "WebSocket"], ["webrtc", "WebRTC"], ["rtmp", "RTMP"]];
const [LEFT, BOTTOM] = [44, 22];
/** Width until the graph has measured its place, and smallest width and height, in pixels. */
const [USUAL, LEAST, LOWEST] = [800, 200, 170];
/** Space of a time below the graph, in pixels. */
const MARK = 160;
/** Maximum number of columns; with more minutes, a column shows the maximum of several minutes. */
const MOST = 600;
const MINUTE_MS = 60000;

/** Returns one entry per column, also for minutes without data: {at, counts, total}. */
function columns(minutes) {
  const times = minutes.map((minute) => Date.parse(minute.at));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const step = Math.ceil((last - first + MINUTE_MS) / MINUTE_MS / MOST);
  const count = Math.floor((last - first) / MINUTE_MS / step) + 1;
  const all = Array.from({ length: count }, (_, at) => ({ at: first + at * step * MINUTE_MS, counts: KINDS.map(() => 0), total: 0 }));
  minutes.forEach((minute, at) => {
    const one = all[Math.floor((times[at] - first) / MINUTE_MS / step)];
    if (minute.viewers >= one.total) Object.assign(one, { total: minute.viewers, counts: KINDS.map(([kind]) => minute[kind] ?? 0) });
  });
  return all;
}

/** Returns a round number that is not below the given one, and the positions of grid lines. */
function scale(most) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  const top = [1, 2, 5, 10].map((times) => times * unit).find((round) => round >= most);
  const parts = top >= 4 && top % 4 === 0 ? 4 : top >= 5 && top % 5 === 0 ? 5 : top >= 2 && top % 2 === 0 ? 2 : 1;
  return [top, Array.from({ length: parts + 1 }, (_, at) => (top * at) / parts)];
}

const clock = (at) => new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });

export function Viewers({ minutes }) {
  const [shown, point] = useState(null);
  const [WIDTH, fit] = useState(USUAL);
  const place = useRef(null);
  // A unit of the graph is a pixel, so texts have the same size on a phone and on a desktop screen. On paper, the graph is scaled.
  useEffect(() => {
    if (!place.current) return undefined;
    // The next frame, because a change of the height within this frame would be an error of the observer.
    const watch = new ResizeObserver(([{ contentRect }]) => requestAnimationFrame(() => fit(Math.max(LEAST, Math.round(contentRect.width)))));
    watch.observe(place.current);
    return () => watch.disconnect();
  }, []);
  const HEIGHT = Math.max(LOWEST, Math.round(WIDTH * 0.275));
  if (minutes.length === 0) return html`<p class="hint">No minute was noted.</p>`;
  const all = columns(minutes);
  const most = Math.max(...all.map((one) => one.total));
  const [top, lines] = scale(most);
  const x = (at) => LEFT + ((WIDTH - LEFT) * at) / all.length;
  const y = (count) => (HEIGHT - BOTTOM) * (1 - count / top) + 6;
  const used = KINDS.map(([, name], kind) => [kind, name, Math.max(...all.map((one) => one.counts[kind]))]).filter(([, , peak]) => peak > 0);
  const below = all.map(() => 0);
  const areas = used.map(([kind]) => {
    const from = [...below];
    all.forEach((one, at) => (below[at] += one.counts[kind]));
    const up = below.map((count, at) => `${x(at).toFixed(1)} ${y(count).toFixed(1)}H${x(at + 1).toFixed(1)}`).join("L");
    const down = from.map((count, at) => `${x(at + 1).toFixed(1)} ${y(count).toFixed(1)}H${x(at).toFixed(1)}`).reverse().join("L");
    return html`<path class=${`area-${kind}`} d=${`M${up}L${down}Z`} />`;
  });
  const parts = Math.min(4, Math.max(1, Math.floor((WIDTH - LEFT) / MARK)));
  const marks = [...new Set(Array.from({ length: parts + 1 }, (_, part) => Math.round(((all.length - 1) * part) / parts)))];
  const move = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = Math.floor((((event.clientX - box.left) / box.width) * WIDTH - LEFT) / ((WIDTH - LEFT) / all.length));
    point(all[at] ?? null);
  };
  const highest = all.find((one) => one.total === most);
  const words = (one) => `${clock(one.at)}: ${one.total} (${used.map(([kind, name]) => `${one.counts[kind]} ${name}`).join(", ")})`;
  return html`<figure class="graph" ref=${place}>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT + 6}`} role="img" aria-label=${`Viewers per minute from ${clock(all[0].at)} to ${clock(all.at(-1).at)}, at most ${most} at ${clock(highest.at)}`}
      onPointerMove=${move} onPointerLeave=${() => point(null)}>
      ${lines.map((count) => html`<line class="rule" x1=${LEFT} x2=${WIDTH} y1=${y(count)} y2=${y(count)} /><text x=${LEFT - 6} y=${y(count) + 4} text-anchor="end">${count}</text>`)}
      ${areas}
      ${marks.map((at, nth) => html`<text x=${x(at)} y=${HEIGHT + 2} text-anchor=${nth === 0 ? "start" : at === all.length - 1 ? "end" : "middle"} dx=${at === all.length - 1 && nth > 0 ? x(1) - x(0) : 0}>${clock(all[at].at)}</text>`)}
    </svg>
    <figcaption><ul class="legend">${used.map(([kind, name, peak]) => html`<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class=${`area-${kind}`} width="10" height="10" /></svg> ${name}, at most ${peak}</li>`)}</ul>
      <p class="hint readout">${shown ? words(shown) : most > 0 ? `Most: ${words(highest)}` : "Nobody watched."}</p></figcaption></figure>`;
}
