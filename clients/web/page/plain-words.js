// What the page says when something is wrong: what it is, and what to do. Pure.

const RETRY = { label: "Try again", name: "retry" };
const BAD_FILE = { title: "This file cannot be read.", text: "It is damaged, or its format is not known here." };

const NOTICES = {
  microphone_denied: {
    title: "The microphone is blocked.",
    text: "Allow it in the browser's site settings (the icon beside the address), then try again.",
    action: RETRY,
  },
  no_microphone: {
    title: "No microphone was found.",
    text: "Plug one in or choose another one, then try again. A recording needs none.",
    action: RETRY,
  },
  microphone_busy: {
    title: "The microphone cannot be read.",
    text: "Another program may be using it. Close that, or choose another microphone.",
    action: RETRY,
  },
  microphone_lost: {
    title: "The microphone is gone.",
    text: "It was unplugged, or its permission withdrawn. What you said until then is kept.",
    action: RETRY,
  },
  microphone_failed: { title: "The microphone could not be opened.", text: "Try again, or choose another one.", action: RETRY },
  microphone_silent: {
    title: "Nothing is heard.",
    text: "The microphone gives silence: is it muted, or is another one the right one?",
  },
  insecure_origin: {
    title: "This address is not secure.",
    text: "Browsers give the microphone only to https:// pages and localhost. Open this page so; recordings work here too.",
  },
  unsupported_browser: {
    title: "This browser gives no microphone.",
    text: "A current Chrome, Edge, Firefox or Safari does. Recordings work here too.",
  },
  no_worker: {
    title: "Nobody can transcribe right now.",
    text: "No worker is running. Whoever operates this service must start one.",
    action: RETRY,
  },
  no_chat_worker: {
    title: "Nobody can answer right now.",
    text: "No language model is running. Captions work all the same.",
  },
  overloaded: {
    title: "The service is full.",
    text: "It takes no new sessions at the moment. Try again in a few seconds.",
    action: RETRY,
  },
  draining: { title: "This server is about to stop.", text: "Try again: another one takes over.", action: RETRY },
  bus_unavailable: {
    title: "The service is interrupted.",
    text: "Its parts have lost each other. It usually recovers by itself; try again in a moment.",
    action: RETRY,
  },
  network_lost: {
    title: "There is no connection.",
    text: "The service does not answer. Check your network; what was shown is kept.",
    action: RETRY,
  },
  reconnecting: {
    title: "The connection is lost.",
    text: "It is being opened again; what you say is kept.",
    action: { label: "Try now", name: "now" },
  },
  cannot_resume: {
    title: "The session could not be taken up again.",
    text: "What was shown is kept. What was said last may be missing.",
    action: RETRY,
  },
  session_taken: {
    title: "This session goes on elsewhere.",
    text: "Another page has taken it over.",
    action: RETRY,
  },
  unauthorized: { title: "The key was not accepted.", text: "Enter the key you were given.", action: { label: "Enter a key", name: "key" } },
  bad_container: BAD_FILE,
  unsupported_audio: BAD_FILE,
  client_too_slow: { title: "This page could not keep up.", text: "Close other tabs or programs, then try again.", action: RETRY },
  decode_failed: { title: "A passage could not be transcribed.", text: "It is marked in the captions; the rest goes on." },
  audio_dropped: { title: "Some audio was lost.", text: "The connection was away for longer than this page can remember." },
  nothing_to_answer: { title: "There is nothing to answer yet.", text: "Say or type something first." },
  copy_failed: { title: "The browser did not allow copying.", text: "Use Save instead." },
};

/** `{title, text, action?}` for a code of the service or of the browser. */
export function noticeFor(code, message = "") {
  return (
    NOTICES[code] ?? { title: "Something went wrong.", text: message ? `The service says: ${message}.` : "", action: RETRY }
  );
}

const STATES = {
  idle: ["Ready", "calm"],
  connecting: ["Connecting…", "calm"],
  open: ["Connected", "good"],
  draining: ["Connected; another server takes over soon", "good"],
  ending: ["Finishing…", "good"],
  ended: ["Ready", "calm"],
};

/** A session that nobody used, or that was long enough: the next one begins where it is wanted. */
export function isQuietEnd(failure) {
  return failure?.code === "idle_timeout" || failure?.code === "session_too_long";
}

/** `[text, tone]` of a state event of the session. */
export function connectionText({ state, failure }, { isListening = false } = {}) {
  if (state === "reconnecting") return [`${noticeFor(failure?.code).title} Reconnecting…`, "bad"];
  if (state === "failed") return isQuietEnd(failure) ? STATES.ended : [noticeFor(failure?.code).title, "bad"];
  return state === "open" && isListening ? ["Listening", "good"] : STATES[state];
}
