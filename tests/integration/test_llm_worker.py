"""LLM worker processes with the scripted engine on a real nats-server."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable
from typing import Any

import pytest

from bus.contract import subjects
from bus.contract.advisories import decode_given_up
from bus.contract.chat_work import (
    BUSY,
    LEAVING,
    ChatCancel,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatReply,
    ChatRequest,
    ChatTaken,
    decode_chat_reply,
    encode_chat,
)
from bus.contract.presence import WorkerPresence, decode_presence
from bus.transport.assets import ensure_assets
from bus.transport.connection import BusConnection
from llm_workers.engines.scripted import expected_answer
from tests.conftest import POOL
from tests.integration.conftest import Launch
from tests.unit.llm_workers.requests import request as asked_for

WITHIN_S = 30.0
MODEL = "scripted"


def request(text: str = "hello there", **fields: Any) -> ChatRequest:
    return asked_for(text, **({"model": MODEL} | fields))


async def within(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(WITHIN_S):
        return await awaitable


class Desk:
    """Stands in for a gateway: asks, and collects what workers and the broker say."""

    def __init__(self, bus: BusConnection) -> None:
        self._bus = bus
        self._given = 0
        self.replies: asyncio.Queue[ChatReply] = asyncio.Queue()
        self.presence: asyncio.Queue[WorkerPresence] = asyncio.Queue()
        self.given_up: asyncio.Queue[bytes] = asyncio.Queue()
        self.terminated: asyncio.Queue[bytes] = asyncio.Queue()

    async def open(self) -> None:
        await self._bus.subscribe(
            subjects.chat_inbox_all("g1"), lambda _, data: self.replies.put_nowait(decode_chat_reply(data))
        )
        await self._bus.subscribe(
            subjects.PRESENCE_LLM_ALL, lambda _, data: self.presence.put_nowait(decode_presence(data))
        )
        await self._bus.subscribe(subjects.ADVISORY_CHAT_MAX_DELIVERIES, lambda _, data: self.given_up.put_nowait(data))
        await self._bus.subscribe(subjects.ADVISORY_CHAT_TERMINATED, lambda _, data: self.terminated.put_nowait(data))
        await self._bus.flush()

    async def give(self, asked: ChatRequest) -> int:
        """For any worker; the number that the broker has for it."""
        return await self.give_bytes(encode_chat(asked), asked.session)

    async def give_bytes(self, data: bytes, session: str) -> int:
        self._given += 1
        stored = await self._bus.publish_stored(
            subjects.llm_request(POOL, "t1", session), data, msg_id=str(self._given)
        )
        return stored.seq

    async def ask(self, worker: str, asked: ChatRequest) -> None:
        """One worker directly."""
        await self._bus.publish(subjects.llm_direct(worker), encode_chat(asked))

    async def cancel(self, session: str = "s1") -> None:
        cancel = ChatCancel(session=session, answer=1, upto_attempt=1)
        await self._bus.publish(subjects.cancel_llm(POOL), encode_chat(cancel))

    async def next(self) -> ChatReply:
        reply: ChatReply = await within(self.replies.get())
        return reply

    async def begun(self) -> tuple[str, str]:
        """The worker that takes the next answer, once its first piece has come, and that piece."""
        taken, delta = await self.next(), await self.next()
        assert isinstance(taken, ChatTaken) and isinstance(delta, ChatDelta)
        return taken.worker, delta.text

    async def rest(self) -> tuple[str, ChatDone | ChatFailed]:
        """What comes until the end: the text, and the last word."""
        text = ""
        while not isinstance(reply := await self.next(), ChatDone | ChatFailed):
            text += reply.text if isinstance(reply, ChatDelta) else ""
        return text, reply

    async def heard_of(self, **wanted: Any) -> WorkerPresence:
        """The next heartbeat that says this."""
        while True:
            presence: WorkerPresence = await within(self.presence.get())
            if all(getattr(presence, name) == value for name, value in wanted.items()):
                return presence

    async def nobody_pulls(self) -> None:
        """Return once no worker waits for a request."""
        call = f"CONSUMER.INFO.{subjects.STREAM_LLM_REQUEST}.{subjects.llm_consumer(POOL)}"
        async with asyncio.timeout(WITHIN_S):
            while (await self._bus.request_api(call))["num_waiting"]:
                pass

    async def left(self) -> int:
        """Requests that the broker still has."""
        info = await self._bus.request_api(f"STREAM.INFO.{subjects.STREAM_LLM_REQUEST}")
        return int(info["state"]["messages"])


@pytest.fixture
async def desk(bus: BusConnection) -> Desk:
    await ensure_assets(bus, llm_pools=[POOL])
    opened = Desk(bus)
    await opened.open()
    return opened


async def test_a_request_becomes_deltas_in_order_and_an_end(desk: Desk, launch_llm_worker: Launch) -> None:
    await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS="tokens_per_s=100")
    await desk.give(request("hello there"))
    worker, first = await desk.begun()
    text, done = await desk.rest()
    assert isinstance(done, ChatDone)
    assert first + text == expected_answer("hello there")
    assert (done.worker, done.model, done.usage.completion_tokens) == (worker, MODEL, 24)


async def test_what_is_answered_leaves_the_broker(desk: Desk, launch_llm_worker: Launch) -> None:
    drained = await launch_llm_worker()
    for answer in range(1, 6):
        await desk.give(request(answer=answer))
    for _ in range(5):
        await desk.rest()
    assert await within(drained.stop(signal.SIGTERM)) == 0
    assert await desk.left() == 0


async def test_a_worker_says_what_it_serves_and_that_it_leaves(desk: Desk, launch_llm_worker: Launch) -> None:
    worker = await launch_llm_worker(HARKEN_LLM_SLOTS="3", HARKEN_LLM_ALIASES="small,fast")
    heard = await desk.heard_of(state="ready")
    assert (heard.pool, heard.model, heard.aliases) == (POOL, MODEL, ("small", "fast"))
    assert (heard.slots, heard.free_slots, heard.context_tokens) == (3, 3, 4096)
    assert await within(worker.stop(signal.SIGTERM)) == 0
    await desk.heard_of(state="leaving", worker=heard.worker)


async def test_who_is_asked_directly_answers_or_says_that_it_is_busy(desk: Desk, launch_llm_worker: Launch) -> None:
    await launch_llm_worker(HARKEN_LLM_SLOTS="1")
    worker = (await desk.heard_of(free_slots=1)).worker
    await desk.ask(worker, request("hello scripted:hang"))
    assert (await desk.begun())[0] == worker
    await desk.heard_of(free_slots=0)
    await desk.ask(worker, request(session="s2"))
    busy = await desk.next()
    assert isinstance(busy, ChatFailed)
    assert (busy.session, busy.code, busy.retryable) == ("s2", BUSY, True)


async def test_what_a_full_worker_cannot_take_waits_in_the_broker(desk: Desk, launch_llm_worker: Launch) -> None:
    await launch_llm_worker(HARKEN_LLM_SLOTS="1")
    worker = (await desk.heard_of(free_slots=1)).worker
    await desk.ask(worker, request("hello scripted:hang"))
    await desk.begun()
    await desk.nobody_pulls()
    await desk.give(request(session="s2"))
    await launch_llm_worker()
    while (taken := await desk.next()).session != "s2":
        pass
    assert isinstance(taken, ChatTaken) and taken.worker != worker


async def test_a_cancel_stops_an_answer_in_silence(desk: Desk, launch_llm_worker: Launch) -> None:
    await launch_llm_worker(HARKEN_LLM_SLOTS="1")
    await desk.give(request("hello scripted:hang"))
    await desk.begun()
    await desk.cancel()
    await desk.give(request(session="s2"))
    while isinstance(reply := await desk.next(), ChatDelta):
        assert reply.session == "s1"  # what was on its way
    assert isinstance(reply, ChatTaken) and reply.session == "s2"
    await desk.rest()


async def test_draining_lets_answers_end_and_sends_the_others_elsewhere(desk: Desk, launch_llm_worker: Launch) -> None:
    drained = await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS="tokens_per_s=50", HARKEN_LLM_DRAIN_TIMEOUT_S="2")
    await desk.give(request("hello"))
    await desk.begun()
    await desk.give(request("hello scripted:hang", session="s2"))
    while (reply := await desk.next()).session != "s2":
        pass
    stopping = asyncio.create_task(drained.stop(signal.SIGTERM))
    ends: dict[str, ChatReply] = {}
    while len(ends) < 2:
        reply = await desk.next()
        if isinstance(reply, ChatDone | ChatFailed):
            ends[reply.session] = reply
    assert isinstance(ends["s1"], ChatDone)
    failed = ends["s2"]
    assert isinstance(failed, ChatFailed) and (failed.code, failed.retryable) == (LEAVING, True)
    assert await within(stopping) == 0
    assert await desk.left() == 0


async def test_a_killed_worker_is_told_of_by_the_broker_and_nobody_repeats_its_text(
    desk: Desk, launch_llm_worker: Launch
) -> None:
    killed = await launch_llm_worker()
    stored = await desk.give(request("hello scripted:hang"))
    await desk.begun()
    await killed.stop(signal.SIGKILL)
    await launch_llm_worker()
    advisory = decode_given_up(await within(desk.given_up.get()))
    assert (advisory.stream, advisory.stream_seq, advisory.deliveries) == ("LLM_REQUEST", stored, 1)
    assert not any(isinstance(reply, ChatTaken) for reply in _so_far(desk))


async def test_a_model_that_dies_takes_the_process_with_it(desk: Desk, launch_llm_worker: Launch) -> None:
    crashed = await launch_llm_worker()
    await desk.give(request("hello scripted:crash"))
    assert await within(crashed.process.wait()) == 86


async def test_a_request_that_cannot_be_read_is_a_dead_letter_at_once(desk: Desk, launch_llm_worker: Launch) -> None:
    await launch_llm_worker()
    await desk.give_bytes(b"\xc1 no message", "s1")
    assert "not a request" in json.loads(await within(desk.terminated.get()))["reason"]


async def test_no_words_of_the_user_are_logged(desk: Desk, launch_llm_worker: Launch) -> None:
    worker = await launch_llm_worker(HARKEN_LOG_LEVEL="debug")
    for answer, directive in enumerate(("", "scripted:fail", "scripted:refuse"), start=1):
        await desk.give(request(f"secret {directive}", answer=answer))
        await desk.rest()
    await within(worker.stop(signal.SIGTERM))
    assert b"answer failed" in worker.output
    assert b"secret" not in worker.output


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"HARKEN_LLM_MODEL": "no-such-model"}, "There is no model named 'no-such-model'"),
        ({"HARKEN_LLM_ENGINE": "tohrc", "HARKEN_LLM_BASE_URL": "http://127.0.0.1:1/v1"}, "there is no engine 'tohrc'"),
        ({"HARKEN_LLM_BASE_URL": "http://127.0.0.1:1/v1"}, "the model server cannot be reached"),
        ({"HARKEN_LLM_SLOST": "2"}, "did you mean HARKEN_LLM_SLOTS?"),
        (
            {"HARKEN_LLM_ENGINE": "scripted", "NATS_URL": "nats://127.0.0.1:1", "HARKEN_LLM_CONNECT_TIMEOUT_S": "0.3"},
            "no connection to NATS at nats://127.0.0.1:1",
        ),
    ],
)
async def test_a_worker_that_cannot_start_says_why(settings: dict[str, str], message: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HARKEN_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llm_workers"), env={**environ, **settings}, stderr=asyncio.subprocess.PIPE
    )
    _, said = await within(process.communicate())
    assert process.returncode == 1
    assert message in said.decode()
    assert "Traceback" not in said.decode()


def _so_far(desk: Desk) -> list[ChatReply]:
    return [desk.replies.get_nowait() for _ in range(desk.replies.qsize())]
