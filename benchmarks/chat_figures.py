"""What the times of answers amount to. Pure: times are seconds of one clock and come in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.scoring import percentile

_NUMBER = re.compile(r"\.(\d+)")


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer as whoever asked for it saw it."""

    asked_at: float
    pieces: tuple[tuple[float, str], ...] = ()
    """When each piece of text came, in order."""
    ended_at: float = float("nan")
    tokens: int = 0
    """Of the answer, as the engine counted them."""
    error: str = ""

    @property
    def text(self) -> str:
        """All of the answer."""
        return "".join(piece for _, piece in self.pieces)

    @property
    def first_s(self) -> float:
        """Time to the first piece; NaN if none came."""
        return self.pieces[0][0] - self.asked_at if self.pieces else float("nan")


def added_s(ours: Sequence[Turn], direct: Sequence[Turn], rank: float) -> float:
    """What the detour adds to the time to the first piece: the difference between two percentiles."""
    return percentile([one.first_s for one in ours], rank) - percentile([one.first_s for one in direct], rank)


def tokens_per_s(round_: Sequence[Turn]) -> float:
    """Tokens of answers that ran together, over the time from the first question to the last end."""
    return sum(one.tokens for one in round_) / (
        max(one.ended_at for one in round_) - min(one.asked_at for one in round_)
    )


def median_ratio(ours: Sequence[float], direct: Sequence[float]) -> float:
    """Median of `ours` over median of `direct`."""
    return percentile(ours, 50) / percentile(direct, 50)


def token_delays_s(turn: Turn, token_s: float) -> list[float]:
    """How late each token of a scripted answer came.

    The scripted engine gives token n, which carries its number, (n - 1) * `token_s` after it was asked. Late is what
    came later than that after the question, whatever delayed it.
    """
    return [
        at - turn.asked_at - (int(number) - 1) * token_s
        for at, piece in turn.pieces
        for number in _NUMBER.findall(piece)
    ]


def resumed_s(turn: Turn, killed_at: float) -> float:
    """How long an answer stood still when its worker was killed: from then to the piece after the longest pause.

    What was on its way when the worker died still comes, and is no sign of life. NaN if nothing came after.
    """
    times = [killed_at, *(at for at, _ in turn.pieces if at > killed_at)]
    if len(times) == 1:
        return float("nan")
    _, resumed_at = max(pairwise(times), key=lambda pair: pair[1] - pair[0])
    return resumed_at - killed_at


def stopped_s(samples: Sequence[tuple[float, bool]], cancelled_at: float) -> float:
    """From a cancel to the first look that found the engine at rest; NaN if none did.

    `samples` are (time, whether it works) in order; the engine stopped between that look and the one before.
    """
    return next((at - cancelled_at for at, works in samples if at >= cancelled_at and not works), float("nan"))
