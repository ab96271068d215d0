// The bitrate of the last ten minutes as a graph. uPlot is loaded with the first graph.

import { useEffect, useRef } from "preact/hooks";

import { html, rate } from "./ui.js";

let library;

function load() {
  library ??= new Promise((done, failed) => {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = "assets/uPlot.min.css";
    const script = document.createElement("script");
    script.src = "assets/uPlot.iife.min.js";
    script.onload = () => done(window.uPlot);
    script.onerror = failed;
    document.head.append(style, script);
  });
  return library;
}

const HEIGHT = 90;
const SPAN_S = 600;
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** Time between two samples above which the stream was off, in seconds; without an open dashboard, the daemon samples every 10 seconds. */
const GAP_S = 25;
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });

/** Returns times and Mbit/s, with an empty value where the stream was off. `since` is the start of the present publish. */
export function drawn(points, since) {
  const [times, values] = [[], []];
  points.forEach(([at, bits], nth) => {
    const before = points[nth - 1]?.[0];
    if (at - before > GAP_S || (before < since && at >= since)) {
      times.push((before + at) / 2);
      values.push(null);
    }
    times.push(at);
    values.push(bits / 1e6);
  });
  return [times, values];
}

export function Chart({ points, since, label }) {
  const place = useRef(null);
  const plot = useRef(null);
  const data = drawn(points, since);
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    let gone = false;
    let watch;
    let repaint;
    // A graph is drawn only when it scrolls into view: hundreds of graphs would block the page.
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      seen.disconnect();
      draw();
    }, { rootMargin: "200px" });
    seen.observe(place.current);
    const draw = () => load().then((uPlot) => {
      if (gone || !place.current) return;
      // A canvas does not support light-dark(): the browser resolves the colours now, and when the system changes between light and dark.
      let colours = [];
      const resolve = () => {
        if (!place.current) return;
        colours = ["--accent", "--accent-soft", "--muted", "--line"].map((name) => {
          place.current.style.color = `var(${name})`;
          return getComputedStyle(place.current).color;
        });
      };
      resolve();
      repaint = () => { resolve(); plot.current?.redraw(); };
      DARK.addEventListener("change", repaint);
      const axis = { stroke: () => colours[2], grid: { stroke: () => colours[3], width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 34 };
      plot.current = new uPlot({
        width: place.current.clientWidth || 300,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { range: (_, __, last) => [last - SPAN_S, last] }, y: { range: (_, __, most) => [0, Math.max(most * 1.15, 0.1)] } },
        axes: [
          { ...axis, size: 20, space: 90, values: (_, splits) => splits.map((at) => time.format(at * 1000)) },
          { ...axis, space: 20, label: "Mbit/s", labelSize: 16, labelGap: 0, labelFont: "11px system-ui", values: (_, splits) => splits.map((value) => number.format(value)) },
        ],
        series: [{}, { stroke: () => colours[0], fill: () => colours[1], width: 1.5, points: { show: false } }],
      }, latest.current, place.current);
      watch = new ResizeObserver(() => plot.current?.setSize({ width: place.current?.clientWidth || 300, height: HEIGHT }));
      watch.observe(place.current);
    }, () => {});
    return () => {
      gone = true;
      seen.disconnect();
      watch?.disconnect();
      DARK.removeEventListener("change", repaint);
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => { plot.current?.setData(data); }, [points]);
  const last = points.at(-1)?.[1] ?? 0;
  return html`<div class="chart" ref=${place} role="img" aria-label=${`${label}: ${rate(last)} now, graph of 10 minutes in Mbit/s`}></div>`;
}
