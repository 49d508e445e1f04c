// The languages of Whisper, by the names that the reader's own language has for them.

const CODES =
  "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is it ja " +
  "jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq " +
  "sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh";

let names;

export function languageName(code) {
  try {
    names ??= makeNames();
    return names.of(code === "jw" ? "jv" : code) ?? code;
  } catch {
    return code;
  }
}

function makeNames() {
  const kind = { type: "language" };
  try {
    return new Intl.DisplayNames(navigator.languages, kind);
  } catch {
    return new Intl.DisplayNames("en", kind); // on a machine without a locale WebKit tells of a language named "C"
  }
}

/** Fills the menu; the reader's own languages come first. */
export function fillLanguages(select) {
  const all = CODES.split(" ");
  const own = [...new Set((navigator.languages ?? []).map((tag) => tag.split("-")[0]))].filter((code) => all.includes(code));
  const named = (codes) => codes.map((code) => [code, languageName(code)]);
  const rest = named(all.filter((code) => !own.includes(code))).sort(([, a], [, b]) => a.localeCompare(b));
  for (const [code, name] of [...named(own), ...rest]) select.append(new Option(name, code));
}

/** Says in the menu which language was heard where it is to be detected. */
export function showDetected(select, code) {
  const text = code ? `Detected: ${languageName(code)}` : "Detect";
  if (select.options[0].text !== text) select.options[0].text = text;
}
