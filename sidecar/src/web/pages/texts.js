// The texts of the page in its language, which the server puts beside it, and what is written with them.

const { texts, ...data } = JSON.parse(document.getElementById("data").textContent);
const language = document.documentElement.lang;
const plural = new Intl.PluralRules(language);

// What else the server says of the page.
export const facts = data;

export function t(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_all, name) => values[name] ?? "");
}

export function viewers(count) {
  return t(`viewers_${plural.select(count)}`, { n: count.toLocaleString(language) });
}

// A day and a time as people here write them.
export function when(date) {
  return date.toLocaleString(language, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}
