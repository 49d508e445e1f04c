import asyncio

import pytest

from bus.contract.errors import BusUnavailable
from bus.transport import restoration
from bus.transport.restoration import Restoration


@pytest.fixture(autouse=True)
def _retry_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoration, "_FIRST_RETRY_S", 0.001)


async def test_with_nothing_kept_ensure_does_nothing() -> None:
    await Restoration().ensure()


async def test_a_step_that_fails_the_first_time_is_not_kept() -> None:
    steps = Restoration()
    failing = _Step(failures=1)
    with pytest.raises(BusUnavailable):
        await steps.keep_ensured(failing)
    await steps.ensure()
    assert failing.runs == 1


async def test_concurrent_callers_share_one_run() -> None:
    steps, step = Restoration(), _Step()
    await steps.keep_ensured(step)
    step.go.clear()
    callers = [asyncio.create_task(steps.ensure()) for _ in range(3)]
    await asyncio.sleep(0)
    callers[0].cancel()
    step.go.set()
    await asyncio.gather(*callers, return_exceptions=True)
    assert step.runs == 2


async def test_after_a_reconnect_ensuring_is_tried_until_it_works_and_callbacks_follow() -> None:
    steps, step, done = Restoration(), _Step(), asyncio.Event()

    async def finish() -> None:
        done.set()

    await steps.keep_ensured(step)
    step.failures = 3
    steps.add(finish)
    steps.begin()
    await asyncio.wait_for(done.wait(), 5)
    assert step.runs == 1 + 4


async def test_a_newer_connection_replaces_what_runs() -> None:
    steps, started, calls = Restoration(), asyncio.Event(), 0

    async def first_hangs() -> None:
        nonlocal calls
        calls += 1
        started.set()
        if calls == 1:
            await asyncio.Event().wait()

    steps.add(first_hangs)
    steps.begin()
    await started.wait()
    started.clear()
    steps.begin()
    await asyncio.wait_for(started.wait(), 5)
    await steps.aclose()
    await steps.aclose()


async def test_a_newer_connection_does_not_wait_for_a_request_of_the_one_before() -> None:
    steps, step, restored = Restoration(), _Step(), asyncio.Event()

    async def report() -> None:
        restored.set()

    await steps.keep_ensured(step)
    steps.add(report)
    step.go.clear()
    step.started.clear()
    steps.begin()
    await step.started.wait()
    other_caller = asyncio.create_task(steps.ensure())
    await asyncio.sleep(0)
    step.go = asyncio.Event()  # nobody sets the one before: its answer went with its connection
    step.go.set()
    steps.begin()
    await asyncio.wait_for(restored.wait(), 5)
    with pytest.raises(BusUnavailable, match="meanwhile"):
        await other_caller
    assert step.runs == 3


async def test_closing_tells_who_waits_for_the_run_that_it_cannot_end_well() -> None:
    steps, step = Restoration(), _Step()
    await steps.keep_ensured(step)
    step.go.clear()
    step.started.clear()
    caller = asyncio.create_task(steps.ensure())
    await step.started.wait()
    await steps.aclose()
    with pytest.raises(BusUnavailable):
        await caller


class _Step:
    def __init__(self, *, failures: int = 0) -> None:
        self.runs = 0
        self.failures = failures
        self.go = asyncio.Event()
        self.go.set()
        self.started = asyncio.Event()

    async def __call__(self) -> None:
        self.runs += 1
        self.started.set()
        await self.go.wait()
        if self.failures:
            self.failures -= 1
            raise BusUnavailable("not yet")
