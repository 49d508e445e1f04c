"""Plays rounds: one system, so many sessions, a list of recordings. Nothing else runs meanwhile."""

import asyncio
import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

from benchmarks.bisection import most_held, next_trial
from benchmarks.peers.figures import Round, figures
from benchmarks.peers.observed import Observed
from benchmarks.peers.processes import DidNotStart
from benchmarks.peers.systems import Play, Setting, Started, System
from benchmarks.playback import each_once
from benchmarks.recordings import Recording

_STAGGER_S = 1.7
"""No divisor of usual utterance lengths: clients do not fall into step."""
_ALL_STARTED_S = 12.0
"""Shorter than a recording: with many sessions, all play at once for a while."""
_WARM_UP_S = 15.0
_LEAST_PLAYED = 3
"""Recordings in a round of the search: a p95 of fewer utterances says little."""


async def play_round(system: System, setting: Setting, started: Started, recordings: Sequence[Recording]) -> Round:
    """Start the system, warm it up, play, stop it. A system that does not start has lost everything, and says why."""
    try:
        async with system.run(setting, started) as play:
            await _warm_up(play, recordings[0])
            observed = await each_once(
                play,
                recordings,
                at_once=started.sessions,
                stagger_s=min(_STAGGER_S, _ALL_STARTED_S / started.sessions),
            )
    except DidNotStart as reason:
        observed = [Observed(error=str(reason)) for _ in recordings]
    return figures(recordings, observed)


async def _warm_up(play: Play, recording: Recording) -> None:
    """Weights may be loaded by the first session only. What comes of it does not count."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_WARM_UP_S):
            await play(recording)


async def best_setting(
    system: System, started: Started, recordings: Sequence[Recording]
) -> list[tuple[Setting, Round]]:
    """All settings of a system with one session each, the best first: fewest lost, then the earliest finals."""
    tried = [
        (setting, await play_round(system, setting, dataclasses.replace(started, sessions=1), recordings))
        for setting in system.settings
    ]
    return sorted(tried, key=lambda pair: (pair[1].lost + pair[1].errors.total(), pair[1].final_p50_s))


async def most_sessions(
    system: System, setting: Setting, model: Path, environments: Path, recordings: Sequence[Recording], highest: int
) -> tuple[int, list[tuple[int, Round]]]:
    """How many sessions it holds, and every round that was played to find out."""
    held: dict[int, bool] = {}
    played: list[tuple[int, Round]] = []
    while (sessions := next_trial(held, limit=highest)) is not None:
        started = Started(model, environments, sessions)
        result = await play_round(system, setting, started, play_list(recordings, max(sessions, _LEAST_PLAYED)))
        played.append((sessions, result))
        held[sessions] = result.holds
    return most_held(held), played


def play_list(recordings: Sequence[Recording], count: int) -> list[Recording]:
    """The first so many recordings, from the first again where there are too few."""
    return list(islice(cycle(recordings), count))
