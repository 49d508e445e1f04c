import asyncio
import signal
import sys

import pytest

from bus.runtime.lifecycle import Drain, DrainStep, error_names
from tests.process_output import read_line

_PROCESS = """
import asyncio, sys
from bus.runtime.lifecycle import run_until_signal

def say(text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()

async def serve(stop):
    say(type(asyncio.get_running_loop()).__module__)
    await stop.wait()
    say("draining")
    if "hang" in sys.argv:
        await asyncio.Event().wait()
    return 3

sys.exit(run_until_signal(serve))
"""


async def test_steps_run_in_order() -> None:
    order: list[str] = []
    assert await Drain([_step("a", order), _step("b", order), _step("c", order)]).run()
    assert order == ["a", "b", "c"]


async def test_a_drain_runs_once_however_often_it_is_asked_for() -> None:
    order: list[str] = []
    drain = Drain([_step("a", order)])
    assert all([*await asyncio.gather(drain.run(), drain.run()), await drain.run()])
    assert order == ["a"]


async def test_a_step_over_its_budget_is_cancelled_and_the_next_runs(caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            order.append("cancelled")

    assert not await Drain([DrainStep("hang", hang, budget_s=0.01), _step("next", order)]).run()
    assert order == ["cancelled", "next"]
    assert "drain step over its budget" in caplog.messages


async def test_a_step_that_fails_does_not_stop_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []

    async def fail() -> None:
        raise RuntimeError("broken")

    assert not await Drain([DrainStep("fail", fail, budget_s=1), _step("next", order)]).run()
    assert order == ["next"]
    assert "drain step failed" in caplog.messages


async def test_a_caller_that_is_cancelled_does_not_cancel_the_drain() -> None:
    begun, go, order = asyncio.Event(), asyncio.Event(), list[str]()

    async def wait() -> None:
        begun.set()
        await go.wait()

    drain = Drain([DrainStep("wait", wait, budget_s=5), _step("next", order)])
    caller = asyncio.create_task(drain.run())
    await begun.wait()
    caller.cancel()
    go.set()
    assert await drain.run()
    assert order == ["next"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_drains_and_the_exit_code_is_the_services(number: signal.Signals) -> None:
    process = await _start()
    assert "uvloop" in await read_line(process)
    process.send_signal(number)
    assert await read_line(process) == "draining"
    assert await asyncio.wait_for(process.wait(), 10) == 3


async def test_a_second_signal_ends_the_process_at_once() -> None:
    process = await _start("hang")
    await read_line(process)
    process.send_signal(signal.SIGTERM)
    assert await read_line(process) == "draining"
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 10) == 128 + signal.SIGINT


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROCESS, *arguments, stdout=asyncio.subprocess.PIPE
    )


def _step(name: str, order: list[str]) -> DrainStep:
    async def run() -> None:
        order.append(name)

    return DrainStep(name, run, budget_s=5.0)


def test_what_went_wrong_is_named_without_groups_and_words() -> None:
    error = ExceptionGroup("g", [ValueError("secret"), ExceptionGroup("h", [KeyError("secret"), ValueError("again")])])
    assert error_names(error) == "KeyError, ValueError"
    assert error_names(OSError("secret")) == "OSError"
