import asyncio

from prometheus_client import CollectorRegistry

from llm_workers.metrics import WorkerMetrics
from llm_workers.results import DRAINING, NO_SLOT, key_of
from llm_workers.running import Running, RunningAnswers
from tests.unit.llm_workers.requests import request


def answers(slots: int) -> RunningAnswers:
    return RunningAnswers(slots, WorkerMetrics(CollectorRegistry()))


async def test_slots_are_taken_and_freed_and_each_change_is_told() -> None:
    running, changes = answers(1), []
    running.on_slots = lambda: changes.append(running.free_slots)
    one = Running(request(), None)
    running.add(one)
    await running.wait_full()
    running.remove(one)
    await running.wait_free()
    await running.wait_none()
    assert changes == [0, 1]


async def test_one_answer_too_many_does_not_count_as_less_than_no_slot() -> None:
    running = answers(1)
    both = [Running(request(answer=answer), None) for answer in (1, 2)]
    for one in both:
        running.add(one)
    assert running.free_slots == 0
    running.remove(both[0])
    assert running.free_slots == 0


async def test_attempts_at_one_answer_are_found() -> None:
    running = answers(3)
    first, other, again = (
        Running(request(), None),
        Running(request(answer=2), None),
        Running(request(attempt=2), None),
    )
    for one in (first, other, again):
        running.add(one)
    assert running.of_answer(key_of(request())) == [first, again]


async def test_the_first_reason_to_stop_an_answer_stands() -> None:
    one = Running(request(), None)
    one.stop(DRAINING)
    one.stop(NO_SLOT)
    assert (one.stopped, one.failure) == (True, DRAINING)


async def test_stopping_interrupts_the_work() -> None:
    one = Running(request(), None)
    waiting: asyncio.Task[object] = asyncio.create_task(asyncio.Event().wait())
    one.work = waiting  # type: ignore[assignment]
    one.stop(None)
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled() and one.failure is None
