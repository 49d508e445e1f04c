// What a transcript looks like when it is taken away. Pure.
import { cutIntoCues } from "./cues.js";

export const DOCUMENTS = {
  txt: { type: "text/plain", write: toText },
  srt: { type: "application/x-subrip", write: toSrt },
  vtt: { type: "text/vtt", write: toVtt },
  json: { type: "application/json", write: toJson },
};

/** One line for each final. */
export function toText(entries) {
  return entries.map(({ text }) => `${text.trim().split(/\s+/).join(" ")}\n`).join("");
}

export function toSrt(entries) {
  const cues = entries.flatMap(cutIntoCues);
  // An arrow in the words would read as a time line.
  const words = (cue) => cue.lines.join("\n").replaceAll("-->", "->");
  return cues.map((cue, i) => `${i + 1}\n${times(cue, ",")}\n${words(cue)}\n\n`).join("");
}

export function toVtt(entries) {
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const cues = entries.flatMap(cutIntoCues);
  return `WEBVTT\n\n${cues.map((cue) => `${times(cue, ".")}\n${escaped(cue.lines.join("\n"))}\n\n`).join("")}`;
}

export function toJson(entries) {
  const segments = entries.map(({ start_s, end_s, text, language, model, words, times: stages }) => ({
    start_s,
    end_s,
    text,
    language,
    model,
    words,
    times: stages,
  }));
  return `${JSON.stringify({ segments }, null, 1)}\n`;
}

/** `HH:MM:SS` + `point` + milliseconds. */
export function timestamp(timeS, point) {
  const total = Math.max(0, Math.round(timeS * 1000));
  const part = (unit, base, width = 2) => String(Math.floor(total / unit) % base).padStart(width, "0");
  return `${part(3_600_000, Infinity)}:${part(60_000, 60)}:${part(1000, 60)}${point}${part(1, 1000, 3)}`;
}

/** `M:SS`, or `H:MM:SS` from an hour on: as a person reads it. */
export function clock(timeS) {
  const seconds = Math.max(0, Math.floor(timeS));
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

function times(cue, point) {
  return `${timestamp(cue.start_s, point)} --> ${timestamp(cue.end_s, point)}`;
}
