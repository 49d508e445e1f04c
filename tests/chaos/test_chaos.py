"""A handful of the runs of `make chaos`, on one stack: processes, sockets and broker are real, engines scripted."""

from pathlib import Path

import pytest

from tests.chaos.faults.table import FAULTS, UNDISTURBED
from tests.chaos.report import violations
from tests.chaos.scenario import RunOptions, run
from tests.chaos.stack import StackOptions, running

pytestmark = [pytest.mark.nats, pytest.mark.weights, pytest.mark.slow]
_OPTIONS = RunOptions(sessions=6, bursts=2, turns=2, pace=4.0)
_FAULTS = ("asr dies at work", "llm kill", "nats restart")


async def test_no_word_is_lost_or_doubled_whatever_dies(tmp_path: Path, silero_path: Path) -> None:
    async with running(StackOptions(), tmp_path) as stack:
        runs = [await run(stack, UNDISTURBED, 0, _OPTIONS)]
        runs += [await run(stack, FAULTS[name], seed, _OPTIONS) for seed, name in enumerate(_FAULTS, 1)]
    assert violations(runs) == []
    assert sum(verdict.words for one in runs for verdict in one.verdicts) > 100
