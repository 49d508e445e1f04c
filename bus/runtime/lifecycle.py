"""How a process of ours runs and ends: until a signal, then ordered steps, each within its budget, once."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import uvloop

_log = logging.getLogger(__name__)

Serve = Callable[[asyncio.Event], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class DrainStep:
    """One step of a shutdown."""

    name: str
    action: Callable[[], Awaitable[None]]
    budget_s: float
    """It is cancelled after this long, and the next step runs."""


class Drain:
    """A shutdown as data: the steps run in order, once, however often and by whomever it is asked for."""

    def __init__(self, steps: Sequence[DrainStep]) -> None:
        self._steps = tuple(steps)
        self._running: asyncio.Task[bool] | None = None

    async def run(self) -> bool:
        """Run all steps and tell whether every one ended well and in time. A step that fails does not stop the rest.

        Calls after the first wait for the same run. Cancelling a caller does not cancel the drain.
        """
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="drain")
        return await asyncio.shield(self._running)

    async def _run(self) -> bool:
        results = [await _run_step(step) for step in self._steps]
        return all(results)


def end_at_once(what: str, reason: str) -> NoReturn:
    """Log what went wrong and end the process, whatever still runs in it.

    For what cannot be waited for, such as a thread that is stuck in a model call. Work from the broker returns by its
    lease.
    """
    _log.critical(what, extra={"reason": reason})
    logging.shutdown()
    os._exit(1)


def error_names(error: BaseException) -> str:
    """The kinds of what went wrong, without the groups that task groups make of it, and without its words."""
    return ", ".join(sorted({type(one).__name__ for one in _leaves(error)}))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def run_until_signal(serve: Serve) -> int:
    """Run `serve(stop)` on a uvloop event loop in this, the main, thread; return the exit code it returns.

    The first SIGTERM or SIGINT sets `stop`: `serve` then drains and returns. A second one ends the process at once
    with 128 + the signal's number.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(serve))


async def _serve(serve: Serve) -> int:
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            _log.warning("second signal, ending at once", extra={"signal": number.name})
            logging.shutdown()
            os._exit(128 + number)
        _log.info("signal received, draining", extra={"signal": number.name})
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return await serve(stop)


async def _run_step(step: DrainStep) -> bool:
    began_at = time.monotonic()
    try:
        async with asyncio.timeout(step.budget_s):
            await step.action()
    except TimeoutError:
        _log.warning("drain step over its budget", extra={"step": step.name, "budget_s": step.budget_s})
        return False
    except Exception:  # whatever one step meets, the others must still run
        _log.exception("drain step failed", extra={"step": step.name})
        return False
    _log.info("drain step done", extra={"step": step.name, "took_s": round(time.monotonic() - began_at, 3)})
    return True
