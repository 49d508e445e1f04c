"""Work items between gateways and ASR workers. Internal to one deployment; msgpack on the wire.

Rules of change: a field that is unknown is ignored, a new field needs a default, any other change raises
`VERSION`, and a message of another version is refused by `decode_*` with ValueError. Golden bytes under
tests/contract/golden pin the encoding.
"""

from typing import Literal

import msgspec

from bus.contract.decoding import check_finite, decoded
from bus.contract.identifiers import check_identifier
from bus.contract.subjects import is_final_ack

VERSION = 1
SAMPLE_RATE_HZ = 16_000
"""The one rate inside the service: windows are 16-bit little-endian mono PCM at this rate."""
MAX_WINDOW_S = 29.0
"""Longest window that a request may carry: below Whisper's 30 s and below the broker's 1 MiB payload."""

MAX_RESULT_BYTES = 256 * 1024
"""Far above what the longest window can come to, far below what would hurt a gateway."""
MAX_TEXT_CHARS = 16_384
MAX_WORDS = 2048
MAX_NAME_CHARS = 128
"""Of a model, a language, the code of a failure."""
MAX_AUDIO_S = 1e7
"""No session has this much: a time above it was not read off a clock."""

WindowKind = Literal["partial", "final"]
Task = Literal["transcribe", "translate"]


class Word(msgspec.Struct, frozen=True):
    """One word with its place in the session's audio time, in seconds from the session's first sample."""

    text: str
    """As spelled by the model, without surrounding blanks."""
    start_s: float
    end_s: float
    probability: float
    """0 to 1: mean probability of the word's tokens."""


class AsrRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="asr.request"):
    """One window to decode. The worker keeps no state: all that it needs is in here."""

    version: int = VERSION
    tenant: str
    session: str
    gateway: str
    """Where the result goes: `subjects.inbox(gateway, session)`."""
    segment: int
    """Number of the utterance within its session, from 1."""
    window: int
    """Grows with every request of a session; orders the results of racing workers."""
    kind: WindowKind
    start_sample: int
    """Absolute offset of `pcm[0]` in the session's 16 kHz audio."""
    pcm: bytes
    """16-bit little-endian mono PCM at `SAMPLE_RATE_HZ`, at most `MAX_WINDOW_S`."""
    language: str | None = None
    """ISO 639-1 code, or None to have it detected."""
    task: Task = "transcribe"
    prompt: str = ""
    """Text that came before, as context for the decoder. User words: never logged."""
    hotwords: str = ""
    """Words to expect. User words: never logged."""
    word_times: bool = True
    prior_samples: int = 0
    """Samples at the head of `pcm` whose text is known and is not to be given again: the decoder hears them, and the
    result tells of what follows them only."""
    prior_text: str = ""
    """Text of those samples. User words: never logged."""
    draft: str = ""
    """Of a final: how the client was shown its beginning as stable. Kept unless the decoder is surer of something else.
    User words: never logged."""
    draft_end_sample: int = 0
    """Absolute, like `start_sample`: where the last word of the draft ends. 0 is not known."""
    hurried: bool = False
    """Of a final: the pool lags, and a text that is a little worse is better than one that is late."""


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of one window went, in seconds, as the worker saw it."""

    queue_s: float
    """In the broker: stored until pulled."""
    batch_wait_s: float
    """In the worker: pulled until its batch began."""
    features_s: float
    encode_s: float
    decode_s: float
    batch_size: int


SUPERSEDED = "superseded"
"""Code of the failure of a partial that nobody waits for any more."""


class Failure(msgspec.Struct, frozen=True):
    """Why a window has no text: SUPERSEDED or the code of an error. `message` holds no user words."""

    code: str
    message: str


class AsrResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="asr.result"):
    """What a worker made of one request. Idempotent: a gateway may see it twice."""

    version: int = VERSION
    session: str
    segment: int
    window: int
    kind: WindowKind
    text: str = ""
    words: tuple[Word, ...] = ()
    language: str | None = None
    """The language decoded in: the one asked for, or the one detected."""
    language_probability: float = 0.0
    no_speech_probability: float = 0.0
    average_log_probability: float = 0.0
    fallback: Literal["", "full_context", "temperature"] = ""
    """Which re-decode the guards asked for, if any."""
    suppressed: Literal["", "no_speech", "repetition"] = ""
    """Why the guards emptied the text, if they did."""
    model: str = ""
    worker: str = ""
    timings: Timings | None = None
    failure: Failure | None = None


class AsrCancel(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="asr.cancel"):
    """Nobody waits for this window any more, in whichever delivery or attempt. May come before the window, or never."""

    version: int = VERSION
    session: str
    segment: int
    window: int


class AsrTaken(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="asr.taken"):
    """A worker has pulled this final. Nothing depends on it: where it is lost, the broker's lease alone decides."""

    version: int = VERSION
    session: str
    segment: int
    window: int
    worker: str
    ack_subject: str
    """Where this delivery is answered to the broker: who knows that the worker is gone may hand it back there."""


_SLACK = 1e-3
"""A mean of probabilities may be rounded past its bounds."""
_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(AsrRequest)
_result_decoder = msgspec.msgpack.Decoder(AsrResult)
_cancel_decoder = msgspec.msgpack.Decoder(AsrCancel)
_taken_decoder = msgspec.msgpack.Decoder(AsrTaken)


def encode(message: AsrRequest | AsrResult | AsrCancel | AsrTaken) -> bytes:
    """Encode for the bus."""
    return _encoder.encode(message)


class OtherVersion(ValueError):
    """A message of another version of this software: nothing is wrong with it, somebody else can read it."""


def decode_request(data: bytes) -> AsrRequest:
    """Decode and check a request; ValueError (OtherVersion for that) names what is wrong, never the content."""
    request = decoded(_request_decoder.decode, data, "an asr.request")
    _check_version(request.version)
    for what in ("tenant", "session", "gateway"):  # they become tokens of the answer's subject
        check_identifier(getattr(request, what), what)
    if len(request.pcm) % 2:
        raise ValueError("pcm holds half a sample")
    if len(request.pcm) > int(MAX_WINDOW_S * SAMPLE_RATE_HZ) * 2:
        raise ValueError(f"window is longer than {MAX_WINDOW_S:g} s")
    if not 0 <= 2 * request.prior_samples <= len(request.pcm):
        raise ValueError("prior_samples reaches outside the window")
    return request


def decode_result(data: bytes) -> AsrResult:
    """Decode a result that a window can have (`check_result`); ValueError names what is wrong, never the content."""
    if len(data) > MAX_RESULT_BYTES:
        raise ValueError(f"a result of {len(data)} bytes")
    result = decoded(_result_decoder.decode, data, "an asr.result")
    _check_version(result.version)
    check_result(result)
    return result


def check_result(result: AsrResult) -> None:
    """Raise ValueError for what gateways refuse: endless text, numbers that are none or outside of what they mean."""
    _check_sizes(result)
    _check_numbers(result)


def decode_cancel(data: bytes) -> AsrCancel:
    """Decode a cancel; ValueError names what is wrong, never the content."""
    cancel = decoded(_cancel_decoder.decode, data, "an asr.cancel")
    _check_version(cancel.version)
    return cancel


def decode_taken(data: bytes) -> AsrTaken:
    """Decode a notice; ValueError names what is wrong, never the content."""
    taken = decoded(_taken_decoder.decode, data, "an asr.taken")
    _check_version(taken.version)
    check_identifier(taken.worker, "worker id")
    if not is_final_ack(taken.ack_subject):  # a gateway publishes there
        raise ValueError("ack_subject is none of a final")
    return taken


def _check_sizes(result: AsrResult) -> None:
    if len(result.text) > MAX_TEXT_CHARS or len(result.words) > MAX_WORDS:
        raise ValueError("text is longer than a window can hold")
    failure = result.failure
    names = (result.model, result.worker, result.language or "", *((failure.code, failure.message) if failure else ()))
    if max(map(len, names)) > MAX_NAME_CHARS:
        raise ValueError("a name is too long")


def _check_numbers(result: AsrResult) -> None:
    probabilities = [result.language_probability, result.no_speech_probability]
    probabilities += [word.probability for word in result.words]
    times = [at_s for word in result.words for at_s in (word.start_s, word.end_s)]
    took = result.timings
    spans = (took.queue_s, took.batch_wait_s, took.features_s, took.encode_s, took.decode_s) if took is not None else ()
    check_finite((*probabilities, *times, *spans, result.average_log_probability), "times and probabilities")
    if not all(-_SLACK <= one <= 1 + _SLACK for one in probabilities):
        raise ValueError("a probability is outside 0 to 1")
    if not all(0 <= word.start_s <= word.end_s <= MAX_AUDIO_S for word in result.words):
        raise ValueError("the times of a word are impossible")
    if not all(0 <= span <= MAX_AUDIO_S for span in spans) or (took is not None and took.batch_size < 0):
        raise ValueError("timings are impossible")


def _check_version(version: int) -> None:
    if version != VERSION:
        raise OtherVersion(f"message version {version}, this process speaks {VERSION}")
