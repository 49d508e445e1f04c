// What the reader chose, kept for the next visit where the browser lets us.

const NAME = "harken.preferences";
const DEFAULTS = { theme: "system", language: "", translate: false, device: "", chat: false, auto: true };

export class Preferences {
  /** `fixed`: what the address of the page says, which is not kept. */
  constructor(fixed = {}) {
    this._kept = { ...DEFAULTS, ...stored() };
    this._fixed = { ...fixed };
  }

  get(name) {
    return this._fixed[name] ?? this._kept[name];
  }

  set(name, value) {
    delete this._fixed[name];
    this._kept[name] = value;
    try {
      localStorage.setItem(NAME, JSON.stringify(this._kept));
    } catch {
      // Storage is closed to this page: the choice holds until it is left.
    }
  }
}

/** `?embed=1&language=en&translate=1&chat=1&theme=dark`. */
export function fromAddress(search) {
  const given = new URLSearchParams(search);
  const fixed = {};
  if (/^[a-z]{2,3}$/.test(given.get("language") ?? "")) fixed.language = given.get("language");
  if (["light", "dark", "system"].includes(given.get("theme"))) fixed.theme = given.get("theme");
  const isEmbedded = given.get("embed") === "1";
  for (const name of ["chat", "translate"]) if (isEmbedded || given.has(name)) fixed[name] = given.get(name) === "1";
  return { isEmbedded, fixed };
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? {};
  } catch {
    return {};
  }
}
