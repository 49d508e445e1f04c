"""Work items between gateways and ASR workers. Internal to one deployment; msgpack on the wire.

Rules of change: a field that is unknown is ignored, a new field needs a default, any other change raises
`VERSION`, and a message of another version is refused by `decode_*` with ValueError. Golden bytes under
tests/contract/golden pin the encoding.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from bus.contract.decoding import check_finite, decoded
from bus.contract.identifiers import check_identifier

VERSION = 1
SAMPLE_RATE_HZ = 16_000
"""The one rate inside the service: windows are 16-bit little-endian mono PCM at this rate."""
MAX_WINDOW_S = 29.0
"""Longest window that a request may carry: below Whisper's 30 s and below the broker's 1 MiB payload."""

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


_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(AsrRequest)
_result_decoder = msgspec.msgpack.Decoder(AsrResult)
_cancel_decoder = msgspec.msgpack.Decoder(AsrCancel)


def encode(message: AsrRequest | AsrResult | AsrCancel) -> bytes:
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
    """Decode a result; ValueError names what is wrong, never the content."""
    result = decoded(_result_decoder.decode, data, "an asr.result")
    _check_version(result.version)
    check_finite(_numbers(result), "times and probabilities")
    return result


def decode_cancel(data: bytes) -> AsrCancel:
    """Decode a cancel; ValueError names what is wrong, never the content."""
    cancel = decoded(_cancel_decoder.decode, data, "an asr.cancel")
    _check_version(cancel.version)
    return cancel


def _numbers(result: AsrResult) -> Iterator[float]:
    """Those that are sent on, or reckoned with."""
    yield result.language_probability
    for word in result.words:
        yield from (word.start_s, word.end_s, word.probability)
    if (took := result.timings) is not None:
        yield from (took.queue_s, took.batch_wait_s, took.features_s, took.encode_s, took.decode_s)


def _check_version(version: int) -> None:
    if version != VERSION:
        raise OtherVersion(f"message version {version}, this process speaks {VERSION}")
