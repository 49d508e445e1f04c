/** Live speech and chat with a Harken service, in a browser. The events are those of docs/protocol.md. */

export type AudioKind = "pcm" | "container" | "none";

export interface VadOptions {
  threshold?: number | null;
  endpoint_s?: number | null;
  max_utterance_s?: number | null;
  endpoint_mode?: "fixed" | "adaptive" | null;
  enabled?: boolean;
}

export interface ChatOptions {
  instructions?: string;
  model?: string | null;
  max_tokens?: number;
  temperature?: number;
  auto?: boolean;
}

export interface SessionOptions {
  /**
   * ws, wss, http or https; without a path, that of the protocol is taken. Of several the next one is dialled each time
   * the connection is lost or refused.
   */
  url: string | string[];
  /** Where the service wants one. */
  key?: string;
  /** How the key travels: `?token=KEY` (the default), or the pair of subprotocols `token, KEY`. */
  keyIn?: "query" | "protocol";
  /** `pcm` (the default): 16-bit mono at 16 kHz. `container`: a file of any format. `none`: chat alone. */
  audio?: AudioKind;
  /** ISO 639-1; null or nothing detects it. */
  language?: string | null;
  task?: "transcribe" | "translate";
  model?: string | null;
  hotwords?: string[];
  prompt?: string;
  vad?: VadOptions;
  partials?: boolean;
  wordTimes?: boolean;
  chat?: ChatOptions | null;
  /** Whether a session whose connection is lost is taken up again, where the service can: true. */
  reconnect?: boolean;
  /** A session of an earlier page that is taken up instead of starting one: what its `snapshot()` gave. */
  resume?: SessionSnapshot;
  /** Seconds of audio that are kept until they are committed: 600. Beyond it the oldest is forgotten. */
  replayS?: number;
  /** Seconds without a connection after which the session fails: 300. */
  giveUpS?: number;
}

/** What a client has of a session. It holds the token that takes the session over: keep it as you keep a key. */
export interface SessionSnapshot {
  session: string;
  token: string;
  seq: number;
  offset: number;
  segments: number[];
  answer: { answer: number; text: string | null } | null;
}

export type SessionState =
  | "idle"
  | "connecting"
  | "open"
  | "draining"
  | "reconnecting"
  | "ending"
  | "ended"
  | "failed";

export interface Limits {
  max_frame_bytes: number;
  max_session_s: number;
  idle_timeout_s: number;
  max_buffered_audio_s: number;
}

export interface Word {
  text: string;
  start_s: number;
  end_s: number;
  probability: number;
}

export interface StageTimes {
  endpoint_s: number;
  queue_s: number;
  batch_wait_s: number;
  encode_s: number;
  decode_s: number;
  publish_s: number;
  total_s: number;
}

interface Segment {
  seq: number;
  /** Counts from 1 over the whole session, also where it took several sockets. */
  segment: number;
  channel: number;
}

interface Answer {
  seq: number;
  answer: number;
}

interface Opening {
  seq: number;
  session: string;
  audio_offset: number;
  sample_rate: number;
  channels: number;
  model: string;
  limits: Limits;
  chat_model: string | null;
  /** null: this session ends with its connection. */
  resume: { token: string; within_s: number } | null;
}

/** Times and offsets count from the first sample of the session, whatever became of its connections. */
export interface EventMap {
  "session.started": Opening & { type: "session.started" };
  /**
   * Taken up again, after the events that were missed. A segment without a final begins anew, and its number may be another
   * utterance's: forget what was shown of it. `replayed_s` of audio are sent a second time, `lost_s` had been forgotten
   * for want of memory.
   */
  "session.resumed": Opening & { type: "session.resumed"; replayed_s: number; lost_s: number };
  "speech.started": Segment & { type: "speech.started"; start_s: number };
  "speech.ended": Segment & { type: "speech.ended"; end_s: number };
  "transcript.partial": Segment & {
    type: "transcript.partial";
    start_s: number;
    end_s: number;
    /** Beginning of `text` that only grows. */
    stable: string;
    text: string;
    language: string | null;
  };
  "transcript.final": Segment & {
    type: "transcript.final";
    start_s: number;
    end_s: number;
    text: string;
    words: Word[];
    language: string | null;
    model: string;
    times: StageTimes;
  };
  "transcript.failed": Segment & {
    type: "transcript.failed";
    start_s: number;
    end_s: number;
    code: string;
    message: string;
  };
  "audio.committed": { type: "audio.committed"; seq: number; offset: number; time_s: number };
  /** A turn of the user is stored. */
  "chat.turn": {
    type: "chat.turn";
    seq: number;
    turn: number;
    source: "speech" | "typed";
    segment: number | null;
    id: string | null;
  };
  "chat.started": Answer & { type: "chat.started"; model: string; id: string | null };
  "chat.delta": Answer & { type: "chat.delta"; text: string };
  "chat.done": Answer & {
    type: "chat.done";
    text: string;
    finish_reason: "stop" | "length";
    usage: { prompt_tokens: number; completion_tokens: number; cached_tokens: number };
    times: { queue_s: number; prefill_s: number; first_delta_s: number; total_s: number };
    model: string;
  };
  "chat.cancelled": Answer & {
    type: "chat.cancelled";
    text: string;
    reason: "client" | "speech" | "turn" | "session";
  };
  "chat.failed": Answer & { type: "chat.failed"; text: string; code: string; message: string; retryable: boolean };
  "session.draining": { type: "session.draining"; seq: number; within_s: number };
  "session.ended": { type: "session.ended"; reason: string; audio_s: number; segments: number };
  /** Only errors that leave the session open; one that ends it comes as the state `failed` or `reconnecting`. */
  error: { type: "error"; seq: number; code: string; message: string; retryable: boolean; fatal: boolean };

  /** `failure` with `failed` and `reconnecting`, the other two with `reconnecting`. */
  state: {
    type: "state";
    state: SessionState;
    failure?: HarkenFailure;
    attempt?: number;
    retry_in_s?: number;
  };
  /** All bytes that were forgotten so far because they were held for too long. */
  "audio.dropped": { type: "audio.dropped"; bytes: number };
}

export type EventType = keyof EventMap;

export class LiveSession {
  constructor(options: SessionOptions);
  readonly state: SessionState;
  readonly limits?: Limits;
  /** Bytes that wait, in this object and in the socket. */
  readonly bufferedBytes: number;
  /** Bytes kept because the service has not committed them yet. */
  readonly heldBytes: number;
  /** Returns a function that removes the listener. `*` hears every event. */
  on<T extends EventType>(type: T, listener: (event: EventMap[T]) => void): () => void;
  on(type: "*", listener: (event: EventMap[EventType]) => void): () => void;
  /** Rejects with a HarkenFailure. */
  open(): Promise<EventMap["session.started" | "session.resumed"]>;
  /** Contiguous audio. Never blocks: without a connection it is kept. */
  sendAudio(data: ArrayBuffer | ArrayBufferView): void;
  /** Resolves when what was handed over is on its way; rejects once the session is over. */
  room(): Promise<void>;
  /** The open utterance ends here. */
  commit(): void;
  /** No more audio: resolves once all finals and the running answer have come. */
  end(): Promise<EventMap["session.ended"]>;
  /** Leaves at once. */
  close(): void;
  /** Dials now instead of when the wait is over. */
  retryNow(): void;
  /** The audio that the service has not stored as text, as far as this client knows: for a session that follows this one. */
  heldAudio(): Uint8Array;
  /** For `resume` in another page, such as this one after a reload; null where the session cannot be taken up. */
  snapshot(): SessionSnapshot | null;
  /** The chat methods return false once the session ends or too much waits. Without a connection what is said waits for one. */
  sendChat(text: string, options?: { answer?: boolean }): boolean;
  requestAnswer(): boolean;
  cancelAnswer(): boolean;
  configureChat(changes: ChatOptions): boolean;
  resetChat(): boolean;
}

export class HarkenFailure extends Error {
  constructor(code: string, message: string, options?: { retryable?: boolean; retryAfterS?: number });
  /**
   * A code of docs/errors.md, or `network_lost`, `not_harken`, `session_over`, `microphone_denied`, `no_microphone`,
   * `microphone_busy`, `microphone_failed`, `insecure_origin`, `unsupported_browser`.
   */
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterS: number;
}

export interface MicrophoneOptions {
  deviceId?: string;
  /** 32 ms of 16-bit mono at 16 kHz, and its loudest sample, 0 to 1. */
  onAudio(piece: { pcm: ArrayBuffer; peak: number }): void;
  /** The device was unplugged, or the permission withdrawn. */
  onLost?(): void;
  /** Where capture-worklet.js is, if a bundler has moved it. */
  worklet?: string | URL;
  /** Further constraints of the track, such as `{noiseSuppression: false}`. */
  processing?: MediaTrackConstraints;
}

export class Microphone {
  private constructor();
  static open(options: MicrophoneOptions): Promise<Microphone>;
  readonly label: string;
  readonly deviceId: string;
  /** Resolves when the last of its audio was handed over. */
  close(): Promise<void>;
}

/** Names are empty until the page was allowed to use one. */
export function listMicrophones(): Promise<{ deviceId: string; label: string }[]>;

/** Sends all of `file` to a session with `audio: "container"`, as fast as the service takes it. */
export function sendFile(
  session: LiveSession,
  file: Blob,
  options?: { onProgress?(sentBytes: number, totalBytes: number): void; pieceBytes?: number },
): Promise<void>;

export class ReplayBuffer {
  constructor(options: { frameBytes: number; maxBytes: number });
  readonly startOffset: number;
  readonly sentOffset: number;
  readonly endOffset: number;
  readonly unsentBytes: number;
  readonly heldBytes: number;
  readonly droppedBytes: number;
  append(bytes: Uint8Array): void;
  next(maxBytes: number, untilOffset?: number): Uint8Array | null;
  commit(offset: number): void;
  rewind(offset: number): number;
}

export class Resampler {
  constructor(inputRate: number, outputRate?: number);
  push(samples: Float32Array): Float32Array;
  flush(): Float32Array;
}

export function toInt16(samples: Float32Array): Int16Array;
