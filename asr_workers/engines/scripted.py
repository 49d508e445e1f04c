"""A deterministic engine for tests: its words say which audio they come from.

Session audio is cut into cells of `CELL_SAMPLES`, counted from the session's first sample. A window gives the word
`w<n>` for each cell n whose middle lies in the window and whose audio before the middle is not silent. So windows
that join without a gap give each word once, a growing window only adds words, and a lost or doubled word is seen by its
number.

Hotwords steer it, so that a test can reach it through the whole stack: `scripted:raise` fails the window,
`scripted:crash` kills the process, `scripted:hang` never returns, `scripted:sleep=0.25` takes that many seconds, and
`scripted:marked` has each word tell the sample in the middle of its cell too (`w<n>x<four hex digits>`), so that audio
that was shifted, or taken from another session, is seen as well.
"""

import os
import re
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Self

import numpy as np

from asr_workers.batch.costs import CallTime
from asr_workers.batch.plan import Group
from asr_workers.engines.base import Decoded, EngineCapabilities, EngineOptions, Outcome, Prepared, Window
from asr_workers.windows.buckets import encoder_context_s
from asr_workers.windows.features import Features, samples_of
from bus.contract.work import SAMPLE_RATE_HZ, Word

CELL_SAMPLES = 6_400
SILENCE_RMS = 0.002
_LISTEN_SAMPLES = 1_600
_CALLS_KEPT = 16
_DIRECTIVE = re.compile(r"scripted:(raise|crash|hang|sleep=([0-9.]+))")
_MARKED = "scripted:marked"
_CRASH_EXIT_CODE = 86


class ScriptedFailure(RuntimeError):
    """Raised by a window that carries `scripted:raise`."""


class ScriptedEngine:
    """See the module text. `calls` has the windows of the newest model calls, for tests in the same process."""

    def __init__(self, options: EngineOptions) -> None:
        self._capabilities = EngineCapabilities(
            model=options.model_name,
            executors=options.executors or 1,
            max_batch=options.max_batch or 4,
            slots=options.executors or 1,
            languages=frozenset({"de", "en", "es", "fr"}),
        )
        self._released = threading.Event()
        self.calls: deque[tuple[Window, ...]] = deque(maxlen=_CALLS_KEPT)

    @classmethod
    def open(cls, options: EngineOptions) -> Self:
        """Needs neither weights nor a device."""
        return cls(options)

    @property
    def capabilities(self) -> EngineCapabilities:
        """As the options say, or one executor with batches of four."""
        return self._capabilities

    def prepare(self, window: Window) -> Prepared:
        """Keep the samples as features; the group follows the same rules as a real engine's."""
        context_s = encoder_context_s(window.kind, window.duration_s, hurried=window.hurried)
        features: Features = samples_of(window.pcm)[np.newaxis, :]
        return Prepared(window=window, group=Group(context_s, len(window.prompt.split())), features=features)

    def decode(self, batch: Sequence[Prepared]) -> list[Outcome]:
        """Obey the directives in order, then read the words off the samples."""
        self.calls.append(tuple(item.window for item in batch))
        started = time.perf_counter()
        for item in batch:
            self._obey(item.window.hotwords)
        decode_s = time.perf_counter() - started
        return [_read(item, decode_s) for item in batch]

    def warm_up(self) -> Sequence[CallTime]:
        """Nothing to warm, nothing to learn."""
        return ()

    def close(self) -> None:
        """Let hanging windows go."""
        self._released.set()

    def _obey(self, hotwords: str) -> None:
        for match in _DIRECTIVE.finditer(hotwords):
            if match[1] == "raise":
                raise ScriptedFailure("the script says so")
            if match[1] == "crash":
                os._exit(_CRASH_EXIT_CODE)
            if match[1] == "hang":
                self._released.wait()
            else:
                self._released.wait(float(match[2]))


def expected_words(pcm: bytes, start_sample: int = 0, *, marked: bool = False) -> list[str]:
    """Words that a session with this audio must show, however it is cut into windows at cell borders or in silence."""
    return [word.text for word in _words(samples_of(pcm), start_sample, len(pcm) // 2, marked=marked)]


def _read(item: Prepared, decode_s: float) -> Decoded:
    window = item.window
    prior = window.prior_samples
    own = item.features[0][prior:]
    marked = _MARKED in window.hotwords
    words = _words(own, window.start_sample + prior, window.samples - prior, marked=marked)
    return Decoded(
        text=" ".join(word.text for word in words),
        words=words if window.word_times else (),
        language=window.language or ("en" if words else None),
        language_probability=1.0 if words else 0.0,
        no_speech_probability=0.0 if words else 1.0,
        suppressed="" if words else "no_speech",
        decode_s=decode_s,
    )


def _words(samples: Features, start_sample: int, length: int, *, marked: bool) -> tuple[Word, ...]:
    half = CELL_SAMPLES // 2
    end_sample = start_sample + length
    first = max(0, -(-(start_sample - half) // CELL_SAMPLES))
    words = []
    for cell in range(first, end_sample // CELL_SAMPLES + 1):
        middle = cell * CELL_SAMPLES + half
        if not start_sample <= middle < end_sample:
            continue
        heard = samples[max(0, middle - _LISTEN_SAMPLES - start_sample) : middle - start_sample + 1]
        if float(np.sqrt(np.mean(np.square(heard)))) < SILENCE_RMS:
            continue
        words.append(
            Word(
                text=f"w{cell}x{_sixteen_bits(samples[middle - start_sample]):04x}" if marked else f"w{cell}",
                start_s=max(cell * CELL_SAMPLES, start_sample) / SAMPLE_RATE_HZ,
                end_s=min((cell + 1) * CELL_SAMPLES, end_sample) / SAMPLE_RATE_HZ,
                probability=0.9,
            )
        )
    return tuple(words)


def _sixteen_bits(sample: float) -> int:
    return round(sample * 32768) & 0xFFFF
