"""`python -m tests.chaos.sabotage.asr_worker`: an ASR worker as it is, but for the orders of the runner."""

import asyncio
import math
import os
import resource
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast
from unittest.mock import patch

import msgspec
import psutil

import asr_workers.__main__ as program
import asr_workers.worker as shell
from asr_workers.batch.costs import CallTime
from asr_workers.engines.base import Decoded, Engine, EngineCapabilities, EngineOptions, Outcome, Prepared, Window
from asr_workers.engines.table import open_engine
from asr_workers.held_jobs import Answer, HeldJob, HeldJobs
from asr_workers.results import decoded_result
from bus.contract.work import AsrRequest, AsrResult, Word
from tests.chaos.sabotage.orders import VARIABLE, Orders, die

_INTO_THE_DECODE_S = 0.02
_UNTIL_SENT_S = 0.05
_OTHER_WINDOWS = 1_000_000
_MEMORY_LEFT_BYTES = 1024**2


class SabotagedEngine:
    """An engine that works until it is told otherwise."""

    def __init__(self, engine: Engine, orders: Orders) -> None:
        self._engine = engine
        self._orders = orders
        self._is_starved = False

    @classmethod
    def open(cls, options: EngineOptions) -> Self:
        """Not by itself: see `main`."""
        raise NotImplementedError

    @property
    def capabilities(self) -> EngineCapabilities:
        """Those of the engine."""
        return self._engine.capabilities

    def prepare(self, window: Window) -> Prepared:
        """As the engine does."""
        return self._engine.prepare(window)

    def warm_up(self) -> Sequence[CallTime]:
        """As the engine does."""
        return self._engine.warm_up()

    def close(self) -> None:
        """As the engine does."""
        self._engine.close()

    def decode(self, batch: Sequence[Prepared]) -> list[Outcome]:
        """As the engine does, but for an order."""
        order = self._orders.current
        has_final = any(item.window.kind == "final" for item in batch)
        if (order == "die_in_decode" and has_final) or (order == "die_in_batch" and len(batch) > 1):
            time.sleep(_INTO_THE_DECODE_S)
            die()
        if order == "fail_always":
            raise RuntimeError("the runner says so")
        if order == "run_out_of_memory" and not self._is_starved:
            self._is_starved = True
            _starve()
        outcomes = self._engine.decode(batch)
        if order == "answer_nothing":
            return []
        if order == "answer_what_no_one_can_read":
            return [_unreadable(outcome) for outcome in outcomes]
        if order == "answer_impossible_times":
            return [_impossible(outcome) for outcome in outcomes]
        return outcomes


def _starve() -> None:
    """Leave this process a megabyte: the next allocation that is larger fails, in whatever code it is."""
    limit = psutil.Process().memory_info().vms + _MEMORY_LEFT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _unreadable(outcome: Outcome) -> Outcome:
    return replace(outcome, text=cast(Any, None)) if isinstance(outcome, Decoded) else outcome


def _impossible(outcome: Outcome) -> Outcome:
    if not isinstance(outcome, Decoded):
        return outcome
    words = tuple(
        Word(text=word.text, start_s=math.nan, end_s=-math.inf, probability=math.nan) for word in outcome.words
    )
    return replace(outcome, words=words, language_probability=math.nan)


def main() -> None:
    """Run the worker."""
    orders = Orders(Path(os.environ[VARIABLE]))
    orders.listen()
    release = HeldJobs.release

    async def release_or_die(self: HeldJobs, held: HeldJob, answer: Answer, call: Any) -> None:
        if call == "ack" and held.request.kind == "final" and orders.current == "die_before_ack":
            await asyncio.sleep(_UNTIL_SENT_S)  # the result is on its way, and this process has nothing else to say
            die()
        await release(self, held, answer, call)

    def result(request: AsrRequest, decoded: Decoded, **more: Any) -> AsrResult:
        if orders.current == "answer_other_windows":
            request = msgspec.structs.replace(request, window=request.window + _OTHER_WINDOWS)
        return decoded_result(request, decoded, **more)

    def sabotaged(name: str, options: EngineOptions) -> Engine:
        return SabotagedEngine(open_engine(name, options), orders)

    with ExitStack() as patches:
        patches.enter_context(patch.object(program, "open_engine", sabotaged))
        patches.enter_context(patch.object(HeldJobs, "release", release_or_die))
        patches.enter_context(patch.object(shell, "decoded_result", result))
        program.main()


if __name__ == "__main__":
    main()
