// Tells which streams of /v1/live are renditions of another stream.

// An edge does not know the ladders of its origin. There, a name such as NAME_480p tells a rendition.
export function isRenditionOf(other, { app, name }) {
  if (other.source) return other.source.app === app && other.source.name === name;
  return other.app === app && other.name.startsWith(`${name}_`) && /^\d+p$/.test(other.name.slice(name.length + 1));
}
