// What a client says, as docs/protocol.md has it. Pure.

const PATH = "/v1/stream";

/** The first message, from the options of a session; what is not given is left to the service's defaults. */
export function sessionStart(options) {
  const message = { type: "session.start", audio: audioFormat(options.audio) };
  for (const name of ["language", "task", "model", "hotwords", "prompt", "vad", "partials", "chat"]) {
    if (options[name] !== undefined) message[name] = options[name];
  }
  if (options.wordTimes !== undefined) message.word_times = options.wordTimes;
  return message;
}

/** `pcm`: 16-bit mono at 16 kHz; `container`: a whole file of any format; `none`: chat alone. */
export function audioFormat(kind = "pcm") {
  switch (kind) {
    case "pcm":
      return { encoding: "linear16", sample_rate: 16000, channels: 1 };
    case "container":
      return { encoding: "container" };
    case "none":
      return null;
    default:
      throw new TypeError(`audio must be "pcm", "container" or "none", not ${JSON.stringify(kind)}`);
  }
}

/** Address and subprotocols of the socket. http(s) becomes ws(s), a missing path the protocol's own. */
export function socketAddress(url, { key, keyIn = "query" }, isResume = false) {
  const address = new URL(url);
  address.protocol = { "http:": "ws:", "https:": "wss:" }[address.protocol] ?? address.protocol;
  if (address.pathname === "/") address.pathname = PATH;
  if (isResume) address.searchParams.set("resume", "1"); // whoever was in before has room kept
  if (key && keyIn === "query") address.searchParams.set("token", key);
  return { url: address.href, protocols: key && keyIn === "protocol" ? ["token", key] : [] };
}

/** Where to ask over HTTP why a socket was refused. */
export function admissionAddress(url) {
  const address = new URL("/v1/admission", url);
  address.protocol = { "ws:": "http:", "wss:": "https:" }[address.protocol] ?? address.protocol;
  return address.href;
}
