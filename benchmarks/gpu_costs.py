"""What Whisper's model calls cost by batch size and concurrency, measured through the engine's own calls."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from asr_workers.engines.whisper_calls import WhisperCalls
from asr_workers.windows.features import FRAMES_PER_SECOND, Features, pad_to_context
from bus.contract.work import WindowKind

TOKENS_PER_S = 2.5
"""Of English speech; what models with random weights are made to generate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A kind of window and how it is decoded. All are aligned: partials need word times to agree on words."""

    kind: WindowKind
    speech_s: float
    context_s: int
    beam_size: int

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.kind}, {self.context_s} s, " + ("greedy" if self.beam_size == 1 else f"beam {self.beam_size}")

    @property
    def max_tokens(self) -> int:
        """Exactly as many come from a model with random weights; speech has fewer or is cut."""
        return round(self.speech_s * TOKENS_PER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Means over all calls of one setting. Stages are per window: the time of a call over its batch."""

    load: Load
    batch: int
    executors: int
    encode_s: float
    generate_s: float
    align_s: float
    tokens: float
    """Per window."""
    windows_per_s: float
    """Of all executors together."""

    @property
    def call_s(self) -> float:
        """One batch from features to word times, while the other executors are as busy."""
        return self.batch * (self.encode_s + self.generate_s + self.align_s)


@dataclass(frozen=True, slots=True)
class _Call:
    encode_s: float
    generate_s: float
    align_s: float
    tokens: int


def measure(
    calls: WhisperCalls,
    load: Load,
    features: Sequence[Features],
    prompt: list[int],
    *,
    batch: int,
    executors: int,
    seconds: float,
) -> Cost:
    """Keep all executors busy for about `seconds`, one call each at least, after a call each that does not count.

    The model must have been opened with as many workers. Windows are taken from `features` in turn.
    """
    padded = [pad_to_context(one, load.context_s) for one in _in_turn(features, batch)]
    with ThreadPoolExecutor(executors, "measure") as pool:
        list(pool.map(lambda _: _call(calls, load, padded, prompt), range(executors)))
        started = time.perf_counter()

        def keep_calling(_: int) -> list[_Call]:
            made = [_call(calls, load, padded, prompt)]
            while time.perf_counter() - started < seconds:
                made.append(_call(calls, load, padded, prompt))
            return made

        made = [call for some in pool.map(keep_calling, range(executors)) for call in some]
        wall_s = time.perf_counter() - started
    windows = batch * len(made)
    return Cost(
        load=load,
        batch=batch,
        executors=executors,
        encode_s=_total(call.encode_s for call in made) / windows,
        generate_s=_total(call.generate_s for call in made) / windows,
        align_s=_total(call.align_s for call in made) / windows,
        tokens=_total(call.tokens for call in made) / windows,
        windows_per_s=windows / wall_s,
    )


def _call(calls: WhisperCalls, load: Load, padded: Sequence[Features], prompt: list[int]) -> _Call:
    began = time.perf_counter()
    encoded = calls.encode(padded)
    encoded_at = time.perf_counter()
    generated = calls.generate(
        encoded, [prompt] * len(padded), max_new_tokens=load.max_tokens, beam_size=load.beam_size
    )
    generated_at = time.perf_counter()
    # Windows of a session are never equally long, and batches of equally long ones are aligned one by one.
    frames = [int(load.speech_s * FRAMES_PER_SECOND) - 2 * place for place in range(len(padded))]
    calls.align(encoded, prompt[:-1], [one.tokens for one in generated], frames=frames)
    return _Call(
        encode_s=encoded_at - began,
        generate_s=generated_at - encoded_at,
        align_s=time.perf_counter() - generated_at,
        tokens=sum(len(one.tokens) for one in generated),
    )


def _in_turn(features: Sequence[Features], count: int) -> list[Features]:
    return [features[place % len(features)] for place in range(count)]


def _total(values: Iterable[float]) -> float:
    return sum(values, 0.0)
