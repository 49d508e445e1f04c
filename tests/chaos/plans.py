"""What the clients of one run do, as a function of its seed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from tests.chaos.speech import Spoken, interleaved, speak

Kind: TypeAlias = Literal["speech", "finals_only", "manual", "two_channels", "spoken_chat", "typed_chat"]
_KINDS: tuple[Kind, ...] = ("speech", "spoken_chat", "typed_chat", "two_channels", "manual", "finals_only")
_DECODE_S = 0.1
"""What a decode takes, so that something runs when a fault comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """One client."""

    number: int
    kind: Kind
    channels: tuple[Spoken, ...]
    """What is said; empty in a chat that is typed alone."""
    turns: tuple[str, ...] = ()
    """What is typed, each after the answer to the one before."""
    starts_after_s: float
    """From the begin of the run, wall time."""

    @property
    def pcm(self) -> bytes:
        """Its audio as it is sent."""
        if not self.channels:
            return b""
        return self.channels[0].pcm if len(self.channels) == 1 else interleaved(*self.channels)

    @property
    def hotwords(self) -> tuple[str, ...]:
        """What steers the scripted engine."""
        return ("scripted:marked", f"scripted:sleep={_DECODE_S:g}")


def plan_sessions(random: Random, *, sessions: int, bursts: int, turns: int) -> Sequence[SessionPlan]:
    """So many clients, of all kinds in turn."""
    first = random.randrange(len(_KINDS))
    return [_session(random, n, _KINDS[(first + n) % len(_KINDS)], bursts, turns) for n in range(sessions)]


def _session(random: Random, number: int, kind: Kind, bursts: int, turns: int) -> SessionPlan:
    channels = {"typed_chat": 0, "two_channels": 2}.get(kind, 1)
    typed = turns if kind == "typed_chat" else 0
    return SessionPlan(
        number=number,
        kind=kind,
        channels=tuple(speak(random, bursts) for _ in range(channels)),
        turns=tuple(
            f"s{number}t{turn} says this scripted:tokens={random.randint(10, 40)}" for turn in range(1, typed + 1)
        ),
        starts_after_s=random.uniform(0.0, 0.3),
    )
