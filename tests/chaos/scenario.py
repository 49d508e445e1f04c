"""One run: clients play on a stack, a fault comes at a random moment, and every session is judged."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from bus.contract import client_protocol as wire
from tests.chaos.client import ENDPOINT_S, Seen, play
from tests.chaos.faults.base import NOTHING, Fault
from tests.chaos.plans import plan_sessions
from tests.chaos.promises import Verdict, judge
from tests.chaos.record import stored
from tests.chaos.stack import Stack
from tests.chaos.weights import References, plan_real_sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How long a run is, and how many take part."""

    sessions: int = 6
    bursts: int = 4
    turns: int = 3
    pace: float = 3.0
    """Audio seconds in a second."""
    patience_s: float = 90.0
    """What a session may take beyond its own length."""


@dataclass(slots=True)
class Run:
    """What became of one."""

    seed: int
    fault: str
    seen: list[Seen] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    hurt_at: float = 0.0
    """When the fault came; `time.monotonic()`."""
    healed_at: float = 0.0
    done: str = ""
    """What the fault did."""
    took_s: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether all promises held."""
        return not any(verdict.broken for verdict in self.verdicts)

    @property
    def final_delays_s(self) -> list[float]:
        """For each final: from when the audio that ends its utterance was due to be sent, until it came."""
        return [delay for seen in self.seen for delay in _final_delays(seen)]

    @property
    def answer_waits_s(self) -> list[float]:
        """For each typed turn: the longest time for which nothing came of its answer."""
        return [wait for seen in self.seen for wait in _answer_waits(seen)]


async def run(stack: Stack, fault: Fault, seed: int, options: RunOptions, references: References | None = None) -> Run:
    """Play, hurt once all sessions are open, heal, judge. The stack must be whole, and is whole again afterwards.

    With real weights sessions are held to `references`, which learn from runs that nothing happens to.
    """
    random = Random(f"{seed} {fault.name}")
    plans = (
        plan_sessions(random, sessions=options.sessions, bursts=options.bursts, turns=options.turns)
        if references is None
        else plan_real_sessions(random, sessions=options.sessions)
    )
    longest_s = max((one.duration_s for plan in plans for one in plan.channels), default=0.0) / options.pace
    at_s = random.uniform(0.2, max(0.3, longest_s * 0.9))
    began = time.monotonic()
    result = Run(seed, fault.name)
    opened = [asyncio.Event() for _ in plans]
    async with asyncio.TaskGroup() as tasks:
        playing = [
            tasks.create_task(play(stack.urls, plan, one, pace=options.pace, patience_s=options.patience_s))
            for plan, one in zip(plans, opened, strict=True)
        ]
        for one in opened:
            await one.wait()
        tasks.create_task(_hurt(stack, fault, random, at_s, result))
    result.seen = [one.result() for one in playing]
    await stack.until_whole()
    for seen in result.seen:
        found = await stored(stack.bus, seen.session) if seen.session else []
        records = [one for one in found if one is not None]
        verdict = judge(
            seen,
            records,
            store_was_lost=fault.loses_store,
            are_words_known=references is None,
            may_be_told=not fault.is_silent,
        )
        if references is not None:
            if fault.name == NOTHING:
                references.learn(seen)
            references.compare(seen, verdict)
        if len(records) < len(found):
            verdict.broken.append("record: not all of it can be read")
        result.verdicts.append(verdict)
    result.took_s = time.monotonic() - began
    return result


async def _hurt(stack: Stack, fault: Fault, random: Random, at_s: float, result: Run) -> None:
    await asyncio.sleep(at_s)
    result.hurt_at = time.monotonic()
    result.done = await fault.inject(stack, random)
    result.healed_at = time.monotonic()


def _final_delays(seen: Seen) -> Iterable[float]:
    for at, final in seen.finals:
        # The last segment ends with the session, if its silence is not over by then; by hand, with a commit.
        due = seen.spoken_at(final.end_s + (0.0 if seen.plan.kind == "manual" else ENDPOINT_S))
        yield at - (min(due, seen.ended_at) if seen.ended_at else due)


def _answer_waits(seen: Seen) -> Iterable[float]:
    chat = [
        (at, event)
        for at, event in seen.events
        if isinstance(event, wire.ChatStarted | wire.ChatDelta | wire.ChatDone | wire.ChatFailed)
    ]
    moments = iter(chat)
    for asked_at in seen.asked_at:
        newest, longest = asked_at, 0.0
        for at, event in moments:
            longest, newest = max(longest, at - newest), at
            if isinstance(event, wire.ChatDone | wire.ChatFailed):
                break
        yield longest
