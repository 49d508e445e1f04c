"""What a worker asks of a speech engine. Engines are chosen by name (engines/table.py) and imported only then."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, Self, TypeAlias

from asr_workers.batch.costs import CallTime
from asr_workers.batch.plan import Group
from asr_workers.windows.features import Features
from asr_workers.windows.guards import Attempt
from bus.contract.work import SAMPLE_RATE_HZ, Task, WindowKind, Word

Fallback = Literal["", "full_context", "temperature"]
Suppressed = Literal["", "no_speech", "repetition"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How to open an engine."""

    model_name: str
    model_path: Path | None
    device: Literal["cpu", "cuda", "auto"] = "auto"
    compute_type: str = "auto"
    """A CTranslate2 compute type; "auto" is int8 on a CPU and float16 on a GPU."""
    executors: int = 0
    """Model calls in parallel; 0 is one per CPU core, or one on a GPU."""
    call_threads: int = 0
    """CPU threads of one model call; 0 is two, or one where there is one core."""
    max_batch: int = 0
    """Windows per model call; 0 is 1 on a CPU and 16 on a GPU."""
    beam_size: int = 5
    """Beam of finals; partials are always greedy. On utterances cut at pauses a beam of 5 takes 0.7 to 0.8 points off
    the word error rate of a greedy decode and adds 0.1 s (docs/performance.md)."""


class EngineUnavailable(Exception):
    """The engine cannot run here: weights missing or unreadable, no such device or compute type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCapabilities:
    """What an open engine can do."""

    model: str
    executors: int
    """Threads that may be in `decode` at the same time."""
    max_batch: int
    slots: int
    """Windows that make progress at the same time: on a GPU all of a batch, on a CPU one per executor."""
    languages: frozenset[str]
    """Languages that a window may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window of a session. User words stay out of its repr."""

    kind: WindowKind
    pcm: bytes = field(repr=False)
    """16-bit little-endian mono at `SAMPLE_RATE_HZ`."""
    start_sample: int
    language: str | None = None
    task: Task = "transcribe"
    prompt: str = field(default="", repr=False)
    hotwords: str = field(default="", repr=False)
    word_times: bool = True
    prior_samples: int = 0
    """Length of the head of `pcm` that is there to be heard only: its text is `prior_text`."""
    prior_text: str = field(default="", repr=False)
    draft: str = field(default="", repr=False)
    """Of a final: its beginning, as somebody was shown it for good."""
    draft_end_sample: int = 0
    """Where the draft's last word ends, on the clock of `start_sample`; 0 is not known."""
    hurried: bool = False
    """Of a final: others wait, and less context will do."""

    @property
    def samples(self) -> int:
        """Length in samples, all of it."""
        return len(self.pcm) // 2

    @property
    def own_s(self) -> float:
        """Length of what is to be decoded, in seconds."""
        return (self.samples - self.prior_samples) / SAMPLE_RATE_HZ

    @property
    def after_draft_s(self) -> float:
        """Length of what follows the draft, in seconds; of all that is to be decoded if its end is not known."""
        end_sample = self.start_sample + self.samples
        return min(self.own_s, max(0, end_sample - self.draft_end_sample) / SAMPLE_RATE_HZ)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples / SAMPLE_RATE_HZ

    def alone(self) -> "Window":
        """The same window without what was said before or shown already."""
        return replace(
            self,
            pcm=self.pcm[2 * self.prior_samples :],
            start_sample=self.start_sample + self.prior_samples,
            prior_samples=0,
            prior_text="",
            draft="",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A window that is ready for `decode`, together with others of its group."""

    window: Window
    group: Group
    features: Features = field(repr=False)
    """[bands, frames], float32, not padded."""
    prefix: tuple[int, ...] = field(default=(), repr=False)
    """Tokens of prompt and hotwords."""
    prior: tuple[int, ...] = field(default=(), repr=False)
    """Tokens of the window's `prior_text`: its text goes on after them."""
    features_s: float = 0.0
    failed: Attempt | None = None
    """The decode that the guards refused, if this is to be the fall-back decode."""
    encode_s: float = 0.0
    decode_s: float = 0.0
    """Time that refused decodes took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """The text of one window. Times of words are on the session's clock."""

    text: str = field(repr=False)
    words: tuple[Word, ...] = field(default=(), repr=False)
    language: str | None
    """The language named or detected; None if none was named and there was no speech to tell it by."""
    language_probability: float = 0.0
    no_speech_probability: float = 0.0
    average_log_probability: float = 0.0
    fallback: Fallback = ""
    suppressed: Suppressed = ""
    features_s: float = 0.0
    encode_s: float = 0.0
    decode_s: float = 0.0


Outcome: TypeAlias = Decoded | Prepared
"""A text, or the same window prepared for the fall-back decode that the guards ask for."""


class Engine(Protocol):
    """A model in memory. All methods block; `prepare` and `decode` may be called from several threads at once."""

    @classmethod
    def open(cls, options: EngineOptions) -> Self:
        """Load the model. EngineUnavailable says in one sentence what is missing."""

    @property
    def capabilities(self) -> EngineCapabilities:
        """Constant after `open`."""

    def prepare(self, window: Window) -> Prepared:
        """Compute what needs no model. ValueError for a window that this engine cannot decode."""

    def decode(self, batch: Sequence[Prepared]) -> list[Outcome]:
        """Decode windows of one group; same order. Any exception means that none of them has an outcome.

        A window that comes back as `Prepared` is tried once more by the next call, without known text or with more
        context. It comes back twice at most.
        """

    def warm_up(self) -> Sequence[CallTime]:
        """Run once what the first sessions would otherwise wait for; what calls take here, as far as that tells."""

    def close(self) -> None:
        """Free the model. Idempotent."""


def decode_to_end(engine: Engine, window: Window) -> Decoded:
    """Decode one window alone, including its fall-back decode. Blocking."""
    outcome: Outcome = engine.prepare(window)
    while isinstance(outcome, Prepared):
        outcome = engine.decode([outcome])[0]
    return outcome


def decode_apart(engine: Engine, batch: Sequence[Prepared]) -> list[Outcome | Exception]:
    """Decode a batch; if that fails, each window alone, so that a bad one fails alone. Blocking."""
    try:
        return list(engine.decode(batch))
    except Exception as error:  # an engine may raise anything; it concerns these windows only
        if len(batch) == 1:
            return [error]
    return [outcome for item in batch for outcome in decode_apart(engine, [item])]
