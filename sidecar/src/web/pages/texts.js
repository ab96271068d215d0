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
