"""Times CTranslate2's calls with one choice of its settings, on windows of real speech. One process each: some
settings are read from the environment when the library is loaded. `python -m benchmarks.engine` starts the processes.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ctranslate2
import msgspec
import numpy as np
from faster_whisper import WhisperModel

from asr_workers.engines.whisper_tokens import WhisperTokens
from asr_workers.windows.features import Features, log_mel, pad_to_context
from bus.runtime.model_store.store import default_cache_dir, resolve

Figures = dict[str, float]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """How to open the model, and how to call it."""

    name: str
    model: str = "base"
    device: str = "cpu"
    compute_type: str = "int8"
    inter_threads: int = 1
    intra_threads: int = 1
    max_queued_batches: int = 0
    callers: int = 1
    """Threads that make calls at the same time."""
    asynchronous: bool = False
    """Each caller hands in all its batches and then waits for them."""
    environment: dict[str, str] = {}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What one process is to measure."""

    choice: Choice
    pcm: tuple[bytes, ...]
    """Windows of 16-bit mono at 16 kHz; each fits the smallest context."""
    contexts_s: tuple[int, ...]
    batches: tuple[int, ...]
    beams: tuple[int, ...]
    rounds: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Figures by context; times are milliseconds per window, the median of the rounds."""

    figures: dict[int, Figures]
    tokens: dict[str, list[list[int]]]
    """Texts of the windows by `beam@context`."""


class Calls:
    """One open model."""

    def __init__(self, choice: Choice) -> None:
        model = WhisperModel(
            str(resolve(choice.model, cache_dir=default_cache_dir())),
            device=choice.device,
            compute_type=choice.compute_type,
            cpu_threads=choice.intra_threads,
            num_workers=choice.inter_threads,
            max_queued_batches=choice.max_queued_batches,
        )
        self._choice = choice
        self._model = model.model
        self._extract = model.feature_extractor
        tokens = WhisperTokens(model.hf_tokenizer, multilingual=self._model.is_multilingual)
        self._prompt = tokens.prompt((), "transcribe", "en")

    def features(self, pcm: bytes, context_s: int) -> Features:
        """Padded to the context."""
        return pad_to_context(log_mel(pcm, self._extract), context_s)

    def encode(self, batches: Sequence[Sequence[Features]]) -> list[Any]:
        """One encoder output for each batch."""
        with ThreadPoolExecutor(self._choice.callers) as pool:
            return list(pool.map(self._encode, batches))

    def generate(self, batches: Sequence[Sequence[Features]], beam_size: int) -> list[list[int]]:
        """Tokens of each window."""
        shares = [batches[n :: self._choice.callers] for n in range(self._choice.callers)]
        with ThreadPoolExecutor(self._choice.callers) as pool:
            outcomes = list(pool.map(lambda share: self._generate(share, beam_size), shares))
        lists = [iter(outcome) for outcome in outcomes]
        return [tokens for n in range(len(batches)) for tokens in next(lists[n % self._choice.callers])]

    def _encode(self, batch: Sequence[Features]) -> Any:
        output = self._model.encode(_storage(np.stack(batch)), to_cpu=True)
        return np.asarray(output.to(ctranslate2.DataType.float32))

    def _generate(self, batches: Sequence[Sequence[Features]], beam_size: int) -> list[list[list[int]]]:
        calls = (
            self._model.generate(
                _storage(np.stack(batch)),
                [self._prompt] * len(batch),
                asynchronous=self._choice.asynchronous,
                beam_size=beam_size,
                return_scores=True,
                return_no_speech_prob=True,
                max_length=448,
                suppress_tokens=[-1],
            )
            for batch in batches
        )
        pending = [list(call) for call in calls] if self._choice.asynchronous else calls
        return [
            [list((one.result() if self._choice.asynchronous else one).sequences_ids[0]) for one in call]
            for call in pending
        ]


def measure(task: Task) -> Measured:
    """Measure all of a task. Blocking; takes minutes for many contexts."""
    calls = Calls(task.choice)
    figures: dict[int, Figures] = {}
    tokens: dict[str, list[list[int]]] = {}
    for context_s in task.contexts_s:
        padded = [calls.features(pcm, context_s) for pcm in task.pcm]
        timed: dict[str, list[tuple[float, float]]] = {}
        for _ in range(task.rounds):
            encoded, spent = _timed(lambda: calls.encode(_cut(padded, 1)))  # noqa: B023
            timed.setdefault("encode x1", []).append(spent)
            if max(task.batches) > 1:
                _, spent = _timed(lambda: calls.encode(_cut(padded, 4)))  # noqa: B023
                timed.setdefault("encode x4", []).append(spent)
            rows = [one[0] for one in encoded]
            for beam in task.beams:
                for batch in task.batches:
                    texts, spent = _timed(lambda: calls.generate(_cut(rows, batch), beam))  # noqa: B023
                    timed.setdefault(f"beam {beam} x{batch}", []).append(spent)
                    tokens.setdefault(f"{beam}@{context_s}", texts)
        figures[context_s] = {"tokens": statistics.mean(len(text) for text in tokens[f"{task.beams[0]}@{context_s}"])}
        for name, spent_all in timed.items():
            for unit, values in zip(("ms", "cpu ms"), zip(*spent_all, strict=True), strict=True):
                figures[context_s][f"{name} {unit}"] = 1000 * statistics.median(values) / len(padded)
    return Measured(figures=figures, tokens=tokens)


def _timed(call: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def _cut(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _storage(array: Any) -> Any:
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(array))


def main() -> None:
    """Read a task from stdin as msgpack, print what was measured as JSON."""
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Task)
    print(msgspec.json.encode(measure(task)).decode())


if __name__ == "__main__":
    main()
