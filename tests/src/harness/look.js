// Finds what looks wrong on a page without a comparison of pixels, because fonts differ between machines. Returns {faults, boxes}: faults as
// texts, and the box of the first visible element of each kind of landmark, in pixels: [left, top, width, height].

const KINDS = ["header.top", "nav", "main", "footer", "h1", ".bar", ".cards", ".card", ".scroll", "dialog", "form", ".player", "#chat", ".buttons"];
const scope = document.querySelector("dialog[open]") ?? document.body;
const style = (element) => getComputedStyle(element);

/** Whether a person can see an element; texts for screen readers only are clipped to nothing. */
function isShown(element) {
  if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) return false;
  const { width, height } = element.getBoundingClientRect();
  if (width <= 1 || height <= 1) return false;
  for (let each = element; each; each = each.parentElement) if (style(each).clipPath !== "none") return false;
  return true;
}

function named(element) {
  const text = element.textContent.trim().replace(/\s+/g, " ").slice(0, 30);
  return `<${element.localName}${element.id ? ` id=${element.id}` : ""}${element.className ? ` class=${element.className}` : ""}> ${text}`;
}

const faults = [];
const shown = (selector, within = document) => [...within.querySelectorAll(selector)].filter(isShown);

// Landmarks and headings.
const isAlone = document.body.classList.contains("alone") || document.querySelector("main.door");
for (const landmark of isAlone ? ["main"] : ["header", "nav", "main"]) {
  if (shown(landmark).length === 0) faults.push(`no ${landmark}`);
}
if (document.querySelectorAll("main").length !== 1) faults.push("more than one main");
const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter((heading) => heading.checkVisibility());
if (headings.filter(({ localName }) => localName === "h1").length !== 1 && !document.querySelector("main.door")) faults.push("not one h1");
let level = 0;
for (const heading of headings) {
  const now = Number(heading.localName[1]);
  if (now > level + 1 && !heading.closest("dialog")) faults.push(`h${now} after h${level}: ${named(heading)}`);
  level = now;
}

// Nothing is beside the window, and no text is cut off.
for (const element of scope.querySelectorAll("*")) {
  if (!isShown(element) || element.closest("svg, video, canvas")) continue;
  const { left, right } = element.getBoundingClientRect();
  let clips = false;
  for (let each = element.parentElement; each && each !== document.body; each = each.parentElement) clips ||= style(each).overflowX !== "visible";
  if (!clips && (left < -1 || right > innerWidth + 1)) faults.push(`beside the window: ${named(element)}`);
  const { overflowX, overflowY, textOverflow } = style(element);
  const hides = (overflow) => ["hidden", "clip"].includes(overflow);
  if (element.matches("input, select, textarea, .chart") || textOverflow === "ellipsis") continue;
  if (hides(overflowX) && element.scrollWidth > element.clientWidth + 1) faults.push(`cut off at the side: ${named(element)}`);
  if (hides(overflowY) && element.scrollHeight > element.clientHeight + 2) faults.push(`cut off below: ${named(element)}`);
}

for (const player of shown(".player")) {
  const { top, bottom } = player.getBoundingClientRect();
  for (const element of shown("*", player)) {
    const box = element.getBoundingClientRect();
    if (box.top < top - 1 || box.bottom > bottom + 1) faults.push(`beside the player: ${named(element)}`);
  }
}

// Nothing lies on something else.
const CONTROLS = "a, button, input, select, textarea, summary";
const WORDS = "h1, h2, h3, p, dt, dd, li, label, th, td, .pill";
const boxes = shown(`${CONTROLS}, ${WORDS}`, scope)
  .filter((element) => !element.closest(".toasts, table, #status"))
  .slice(0, 400)
  .map((element) => [element, [...element.getClientRects()]]);
const touch = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1.5;
boxes.forEach(([one, ones], at) => {
  for (const [other, others] of boxes.slice(at + 1)) {
    if (one.contains(other) || other.contains(one)) continue;
    if (ones.some((a) => others.some((b) => touch(a, b)))) faults.push(`on each other: ${named(one)} and ${named(other)}`);
  }
});
for (const control of shown(CONTROLS, scope)) {
  const [box] = control.getClientRects();
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const top = x >= 0 && x < innerWidth && y >= 0 && y < innerHeight ? document.elementFromPoint(x, y) : null;
  if (top && !control.contains(top) && !top.contains(control) && !top.closest(".toasts")) faults.push(`covered by ${named(top)}: ${named(control)}`);
}

const landmarks = {};
scrollTo(0, 0);
for (const kind of KINDS) {
  const [first] = shown(kind);
  if (!first) continue;
  const { left, top, width, height } = first.getBoundingClientRect();
  landmarks[kind] = [left, top, width, height].map(Math.round);
}
return { faults: faults.slice(0, 10), boxes: landmarks };
