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

export function Chart({ points, label }) {
  const place = useRef(null);
  const plot = useRef(null);
  const data = [points.map(([at]) => at), points.map(([, bits]) => bits / 1e6)];
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
        axes: [{ ...axis, size: 20, space: 90 }, { ...axis, space: 20 }],
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
