"""What a Deepgram client asks for in the query of `/v1/listen`, in native terms.

Parameters that are not named here are accepted and change nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from bus.contract.client_protocol import (
    MAX_CHANNELS,
    MAX_SAMPLE_RATE_HZ,
    MIN_SAMPLE_RATE_HZ,
    AudioFormat,
    SessionStart,
    VadOptions,
)
from bus.contract.errors import InvalidMessage, UnsupportedAudio

_RAW_ENCODINGS: Final[Mapping[str, tuple[str, int, int]]] = {
    "linear16": ("linear16", 2, 16_000),
    "linear32": ("float32", 4, 16_000),
    "mulaw": ("mulaw", 1, 8_000),
    "alaw": ("alaw", 1, 8_000),
}
"""Our name, bytes of a sample, and the rate of who names none."""
_CONTAINER_ENCODINGS: Final = frozenset({"flac", "opus", "ogg-opus"})
"""Sent as files by those who use them."""
_ENDPOINT_MS = (200, 5_000)
_UTTERANCE_END_MS = (1_000, 60_000)
_FORMATTING: Final = ("punctuate", "smart_format")
_FLAGS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}

Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """`start` for the session, the rest for how its events are spelled."""

    start: SessionStart
    bytes_per_s: int | None
    """Of the audio as it comes; None for a container, whose bytes tell nothing about time."""
    speech_final: bool = True
    """Whether ends of speech are told (`endpointing`)."""
    utterance_end_s: float | None = None
    vad_events: bool = False
    punctuate: bool = False

    def with_features(self, features: Mapping[str, bool]) -> "Wishes":
        """These, with formatting that is turned on or off; of what is not named, and not known, nothing changes."""
        wished = [features[name] for name in _FORMATTING if name in features]
        return replace(self, punctuate=any(wished)) if wished else self


def read_query(query: Query) -> Wishes:
    """Raise InvalidMessage or UnsupportedAudio that names the first parameter that cannot be."""
    if _text(query, "callback"):
        raise InvalidMessage("callback is not supported: results come on this socket")
    audio, bytes_per_s = _audio(query)
    endpointing = _text(query, "endpointing") or ""
    tells_endpoints = _FLAGS.get(endpointing.lower(), True)
    utterance_end_ms = _number(query, "utterance_end_ms")
    start = SessionStart(
        audio=audio,
        language=_language(query),
        hotwords=(*_values(query, "keyterm"), *_keywords(query)),
        vad=_vad(query, endpointing) if tells_endpoints else VadOptions(),
        partials=_flag(query, "interim_results"),
    )
    return Wishes(
        start=start,
        bytes_per_s=bytes_per_s,
        speech_final=tells_endpoints,
        utterance_end_s=None if utterance_end_ms is None else _within(utterance_end_ms, _UTTERANCE_END_MS) / 1000,
        vad_events=_flag(query, "vad_events"),
        punctuate=any(_flag(query, name) for name in _FORMATTING),
    )


def _audio(query: Query) -> tuple[AudioFormat, int | None]:
    encoding = (_text(query, "encoding") or "").lower()
    is_file = not encoding or encoding in _CONTAINER_ENCODINGS
    is_apart = _flag(query, "multichannel")
    channels = _number(query, "channels")
    if channels is None:  # a file need not be told what it is
        channels = 2 if is_file and is_apart else 1
    if not 1 <= channels <= MAX_CHANNELS:
        raise UnsupportedAudio(f"channels must be from 1 to {MAX_CHANNELS}, not {channels}")
    mode: Literal["mix", "separate"] = "separate" if channels > 1 and is_apart else "mix"
    if is_file:
        return AudioFormat(encoding="container", channels=channels, channel_mode=mode), None
    if encoding not in _RAW_ENCODINGS:
        accepted = ", ".join((*_RAW_ENCODINGS, *sorted(_CONTAINER_ENCODINGS)))
        raise UnsupportedAudio(f"encoding must be one of {accepted}; leave it out for a file of another kind")
    ours, sample_bytes, usual_rate_hz = _RAW_ENCODINGS[encoding]
    rate_hz = _number(query, "sample_rate")
    rate_hz = usual_rate_hz if rate_hz is None else rate_hz
    if not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise UnsupportedAudio(
            f"sample_rate must be from {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz, not {rate_hz}"
        )
    audio = AudioFormat(encoding=ours, sample_rate=rate_hz, channels=channels, channel_mode=mode)
    return audio, rate_hz * channels * sample_bytes


def _vad(query: Query, endpointing: str) -> VadOptions:
    """A number of milliseconds as near as ours come to it; who names none gets the service's own."""
    if not endpointing or endpointing.lower() == "true":
        return VadOptions()
    endpoint_ms = _number(query, "endpointing")
    assert endpoint_ms is not None
    return VadOptions(endpoint_s=_within(endpoint_ms, _ENDPOINT_MS) / 1000, endpoint_mode="fixed")


def _language(query: Query) -> str | None:
    """The language without its region. Who names none means English there; `multi` means whatever is spoken."""
    language = (_text(query, "language") or "en").lower().partition("-")[0]
    return None if language == "multi" or _flag(query, "detect_language") else language


def _keywords(query: Query) -> list[str]:
    """`word:boost` without the boost; what is to be heard less is left out, for nothing here does that."""
    words = []
    for keyword in _values(query, "keywords"):
        word, _, boost = keyword.rpartition(":")
        try:
            is_wanted = float(boost) > 0
        except ValueError:
            word, is_wanted = keyword, True
        if word and is_wanted:
            words.append(word)
    return words


def _values(query: Query, name: str) -> list[str]:
    return [value for value in query.get(name, ()) if value.strip()]


def _text(query: Query, name: str) -> str | None:
    return next(iter(_values(query, name)), None)


def _flag(query: Query, name: str) -> bool:
    value = _text(query, name)
    if value is None:
        return False
    if value.lower() not in _FLAGS:
        raise InvalidMessage(f"{name} must be true or false")
    return _FLAGS[value.lower()]


def _number(query: Query, name: str) -> int | None:
    value = _text(query, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise InvalidMessage(f"{name} must be a whole number")
    return int(value)


def _within(number: int, limits: tuple[int, int]) -> int:
    return min(max(number, limits[0]), limits[1])
