"""Worker processes with the scripted engine on a real nats-server."""

import asyncio
import base64
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from bus.contract import subjects
from bus.contract.presence import WorkerPresence, decode_presence
from bus.contract.work import AsrRequest, AsrResult, decode_result, encode
from bus.transport.assets import FINAL_ACK_WAIT_S
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from tests.conftest import POOL
from tests.integration.broker import unacknowledged
from tests.integration.conftest import Launch
from tests.unit.asr_workers.requests import request

WITHIN_S = 30.0
ONE_SLOT = {"HARKEN_ASR_THREADS": "1", "HARKEN_ASR_BATCH_SIZE": "1"}


class Desk:
    """Stands in for a gateway: gives work, collects results and dead letters."""

    def __init__(self, bus: BusConnection) -> None:
        self._bus = bus
        self._given = 0
        self.results: asyncio.Queue[AsrResult] = asyncio.Queue()
        self.terminated: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.presence: asyncio.Queue[WorkerPresence] = asyncio.Queue()

    async def open(self) -> None:
        await self._bus.subscribe(
            subjects.inbox_all("g1"), lambda _, data: self.results.put_nowait(decode_result(data))
        )
        await self._bus.subscribe(
            subjects.ADVISORY_TERMINATED, lambda _, data: self.terminated.put_nowait(json.loads(data))
        )
        await self._bus.subscribe(
            subjects.PRESENCE_ASR_ALL, lambda _, data: self.presence.put_nowait(decode_presence(data))
        )
        await self._bus.flush()

    async def give(self, asked: AsrRequest) -> None:
        await self.give_bytes(encode(asked), asked.session, partial=asked.kind == "partial")

    async def give_bytes(self, data: bytes, session: str, *, partial: bool = False) -> None:
        self._given += 1
        subject = (subjects.asr_partial if partial else subjects.asr_final)(POOL, "t1", session)
        await self._bus.publish_stored(subject, data, msg_id=str(self._given))

    async def take(self, count: int) -> dict[str, AsrResult]:
        """The next results, by session."""
        async with asyncio.timeout(WITHIN_S):
            results = [await self.results.get() for _ in range(count)]
        return {result.session: result for result in results}

    async def unacknowledged(self, is_wanted: Callable[[int], bool]) -> None:
        """Return once the number of finals that workers hold is as wanted."""
        await unacknowledged(self._bus, is_wanted)

    async def left_in(self, stream: str) -> int:
        return int((await self._bus.request_api(f"STREAM.INFO.{stream}"))["state"]["messages"])

    async def dead_letter(self) -> dict[str, Any]:
        """The last dead letter, as it is stored."""
        body = json.dumps({"last_by_subj": subjects.ADVISORY_TERMINATED}).encode()
        stored = await self._bus.request_api(f"STREAM.MSG.GET.{subjects.STREAM_DEAD_LETTERS}", body)
        letter: dict[str, Any] = json.loads(base64.b64decode(stored["message"]["data"]))
        return letter


@pytest.fixture
async def desk(bus: BusConnection) -> Desk:
    opened = Desk(bus)
    await opened.open()
    return opened


async def within(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(WITHIN_S):
        return await awaitable


async def give_until_the_first_runs(desk: Desk, first: AsrRequest) -> None:
    """Give a job and another, `waiting`. A worker with one slot takes the second only when the first is running."""
    await desk.give(first)
    await desk.unacknowledged(lambda held: held == 1)
    await desk.give(request(session="waiting"))
    await desk.unacknowledged(lambda held: held == 2)


async def test_windows_of_many_sessions_are_answered_in_batches(desk: Desk, launch_worker: Launch) -> None:
    for i in range(9):
        await desk.give(request(session=f"s{i}", hotwords="scripted:sleep=0.1"))
    await launch_worker(HARKEN_ASR_THREADS="1", HARKEN_ASR_BATCH_SIZE="4")
    results = await desk.take(9)
    assert {result.text for result in results.values()} == {"w0 w1"}
    sizes = [result.timings.batch_size for result in results.values() if result.timings is not None]
    assert max(sizes) == 4
    await desk.unacknowledged(lambda held: held == 0)
    assert await desk.left_in(subjects.STREAM_ASR_FINAL) == 0


async def test_a_partial_is_answered_too(desk: Desk, launch_worker: Launch) -> None:
    await launch_worker()
    await desk.give(request("partial"))
    assert (await desk.take(1))["s1"].kind == "partial"


async def test_a_poisonous_window_ends_as_a_failure_and_a_dead_letter_and_holds_up_nobody(
    desk: Desk, launch_worker: Launch
) -> None:
    await launch_worker()
    await desk.give(request(session="bad", hotwords="scripted:raise"))
    await desk.give(request(session="good"))
    results = await desk.take(2)
    assert results["good"].text == "w0 w1"
    failure = results["bad"].failure
    assert failure is not None
    assert (failure.code, failure.message) == ("decode_failed", "ScriptedFailure")
    advisory = await within(desk.terminated.get())
    assert (advisory["reason"], advisory["deliveries"]) == ("decode_failed ScriptedFailure", 4)
    assert (await desk.dead_letter())["reason"] == advisory["reason"]


async def test_a_request_of_another_version_is_a_dead_letter_if_no_such_worker_comes(
    desk: Desk, launch_worker: Launch
) -> None:
    await launch_worker()
    await desk.give(msgspec.structs.replace(request(), version=2))
    advisory = await within(desk.terminated.get())
    assert (advisory["reason"], advisory["deliveries"]) == ("message version 2, this process speaks 1", 4)


async def test_a_corrupt_request_is_a_dead_letter_at_once(desk: Desk, launch_worker: Launch) -> None:
    await launch_worker()
    await desk.give_bytes(b"\xc1 no message", "s1")
    assert "not an asr.request" in (await within(desk.terminated.get()))["reason"]
    await desk.give(request())
    assert (await desk.take(1))["s1"].text == "w0 w1"


async def test_the_jobs_of_a_killed_worker_are_decoded_by_another(desk: Desk, launch_worker: Launch) -> None:
    killed = await launch_worker()
    await desk.give(request(hotwords="scripted:sleep=1"))
    await desk.unacknowledged(lambda held: held == 1)
    first = (await within(desk.presence.get())).worker
    await killed.stop(signal.SIGKILL)
    await launch_worker()
    result = (await desk.take(1))["s1"]
    assert result.text == "w0 w1"
    assert result.worker != first
    assert result.timings is not None and result.timings.queue_s >= FINAL_ACK_WAIT_S - 0.5


async def test_a_slow_decode_keeps_its_lease(desk: Desk, launch_worker: Launch) -> None:
    await launch_worker(HARKEN_ASR_THREADS="2")
    await desk.give(request(hotwords=f"scripted:sleep={FINAL_ACK_WAIT_S + 1}"))
    assert (await desk.take(1))["s1"].text == "w0 w1"
    await desk.unacknowledged(lambda held: held == 0)
    assert desk.results.empty()


async def test_a_drained_worker_answers_what_runs_and_hands_back_what_waits(desk: Desk, launch_worker: Launch) -> None:
    drained = await launch_worker(**ONE_SLOT)
    await give_until_the_first_runs(desk, request(session="running", hotwords="scripted:sleep=1"))
    assert await within(drained.stop(signal.SIGTERM)) == 0
    assert set(await desk.take(1)) == {"running"}
    states = [desk.presence.get_nowait().state for _ in range(desk.presence.qsize())]
    assert states[-1] == "leaving"

    await launch_worker()
    result = (await desk.take(1))["waiting"]
    assert result.timings is not None and result.timings.queue_s < FINAL_ACK_WAIT_S


async def test_a_model_call_that_never_returns_ends_the_process(desk: Desk, launch_worker: Launch) -> None:
    stuck = await launch_worker(HARKEN_ASR_DECODE_TIMEOUT_S="1")
    await desk.give(request(hotwords="scripted:hang"))
    await within(stuck.logged("worker failed"))
    assert await within(stuck.process.wait()) == 1


async def test_a_drain_does_not_wait_for_ever_for_a_model_call(desk: Desk, launch_worker: Launch) -> None:
    stuck = await launch_worker(HARKEN_ASR_DRAIN_TIMEOUT_S="0.2", **ONE_SLOT)
    await give_until_the_first_runs(desk, request(session="running", hotwords="scripted:hang"))
    assert await within(stuck.stop(signal.SIGTERM)) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"HARKEN_ASR_MODEL": "no-such-model"}, "There is no model named 'no-such-model'"),
        ({"HARKEN_ASR_ENGINE": "whispr"}, "there is no engine 'whispr'"),
        ({"HARKEN_ASR_THREDS": "2"}, "did you mean HARKEN_ASR_THREADS?"),
        (
            {"HARKEN_ASR_ENGINE": "scripted", "NATS_URL": "nats://127.0.0.1:1", "HARKEN_ASR_CONNECT_TIMEOUT_S": "0.3"},
            "no connection to NATS at nats://127.0.0.1:1",
        ),
    ],
)
async def test_a_worker_that_cannot_start_says_why(settings: dict[str, str], message: str) -> None:
    await cannot_start(settings, message)


async def test_a_worker_whose_metrics_port_is_taken_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        settings = {"HARKEN_ASR_ENGINE": "scripted", "HARKEN_ASR_METRICS_PORT": port}
        await cannot_start(settings, f"metrics cannot be served on port {port}: Address already in use")


async def cannot_start(settings: dict[str, str], message: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HARKEN_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asr_workers"),
        env={**environ, **settings},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, output = await within(process.communicate())
    assert process.returncode == 1
    assert message in output.decode()


async def test_a_worker_rejoins_a_restarted_server(
    desk: Desk, launch_worker: Launch, nats_server: EmbeddedNats, bus: BusConnection
) -> None:
    await launch_worker()
    await desk.give(request(session="before"))
    assert set(await desk.take(1)) == {"before"}
    await nats_server.kill()
    await nats_server.start()
    await within(bus.wait_connected())
    await bus.ensure()
    await desk.give(request(session="after"))
    assert set(await desk.take(1)) == {"after"}
