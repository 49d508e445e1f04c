// A final cut into subtitle cues by its word times, as `harken transcribe` cuts them. Pure.

const MAX_LINES = 2;
const MAX_LINE_COLUMNS = 42;
const MAX_CUE_S = 7; // one that stays longer reads as a stuck one
const MIN_CUE_S = 0.1;
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/;

/** Cues `{start_s, end_s, lines}` in order, never overlapping. */
export function cutIntoCues({ text, words, start_s, end_s }) {
  const flat = text.trim().split(/\s+/).join(" ");
  if (!flat) return [];
  const placed = placeWords(flat, words ?? []) ?? spread(flat.split(" "), start_s, end_s);
  const cues = [];
  for (const { lines, first, last } of fill(placed.flatMap(narrow))) {
    const begin = Math.max(first.start_s, cues.at(-1)?.end_s ?? 0);
    cues.push({ start_s: begin, end_s: Math.max(last.end_s, begin + MIN_CUE_S), lines: lines.map((line) => line.trim()) });
  }
  return cues;
}

/** Terminal columns: a full-width character has two. */
export function columns(text) {
  return [...text].reduce((sum, character) => sum + (WIDE.test(character) ? 2 : 1), 0);
}

function placeWords(text, words) {
  const pieces = [];
  let position = 0;
  for (const word of words) {
    const found = text.indexOf(word.text, position);
    if (found < 0) return null;
    const end = found + word.text.length;
    pieces.push({ text: text.slice(position, end), start_s: word.start_s, end_s: word.end_s });
    position = end;
  }
  if (pieces.length) pieces.at(-1).text += text.slice(position);
  return pieces.length ? pieces : null;
}

function spread(parts, startS, endS) {
  const total = parts.reduce((sum, part) => sum + columns(part), 0);
  const at = (done) => startS + ((endS - startS) * done) / total;
  let done = 0;
  return parts.map((part, index) => {
    const begin = done;
    done += columns(part);
    return { text: index ? ` ${part}` : part, start_s: at(begin), end_s: at(done) };
  });
}

function narrow(piece) {
  if (columns(piece.text.trim()) <= MAX_LINE_COLUMNS) return [piece];
  const parts = [""];
  for (const character of piece.text) {
    if (columns((parts.at(-1) + character).trim()) > MAX_LINE_COLUMNS) parts.push("");
    parts[parts.length - 1] += character;
  }
  const shareS = (piece.end_s - piece.start_s) / parts.length;
  return parts.map((text, index) => ({
    text,
    start_s: piece.start_s + index * shareS,
    end_s: piece.start_s + (index + 1) * shareS,
  }));
}

function* fill(pieces) {
  let lines = [];
  let first = pieces[0];
  let last = first;
  for (const piece of pieces) {
    if (lines.length && piece.end_s - first.start_s > MAX_CUE_S) {
      yield { lines, first, last };
      lines = [];
    }
    if (!lines.length) {
      [lines, first] = [[piece.text], piece];
    } else if (columns((lines.at(-1) + piece.text).trim()) <= MAX_LINE_COLUMNS) {
      lines[lines.length - 1] += piece.text;
    } else if (lines.length < MAX_LINES) {
      lines.push(piece.text);
    } else {
      yield { lines, first, last };
      [lines, first] = [[piece.text], piece];
    }
    last = piece;
  }
  yield { lines, first, last };
}
