// The texts of the page in its language, which the server embeds in the page, and functions that format with them.

const { texts, ...data } = JSON.parse(document.getElementById("data").textContent);
const language = document.documentElement.lang;
const plural = new Intl.PluralRules(language);

// Other data from the server for the page.
export const facts = data;

export function t(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_all, name) => values[name] ?? "");
}

export function viewers(count) {
  return t(`viewers_${plural.select(count)}`, { n: count.toLocaleString(language) });
}

// Formats a day and a time for the page's language.
export function when(date) {
  return date.toLocaleString(language, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

// Time after the start of an event from which the pages show its stream as late, and from which they also show the day of the start.
const LATE_MS = 300000;
const LONG_MS = 43200000;

// Returns whether an event without its stream is late.
export function isLate(event) {
  return Date.now() - Date.parse(event.start) >= LATE_MS;
}

// Tells when an event starts that was not live yet.
export function startText(event) {
  const start = new Date(event.start);
  const late = Date.now() - start;
  if (late < 0) return when(start);
  if (!isLate(event)) return t("starts_soon");
  const time = late < LONG_MS ? start.toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" }) : when(start);
  return t("planned_for", { time });
}
