"""Chat through a real gateway, real LLM workers with the scripted engine, and a real nats-server."""

import asyncio
import json
import signal
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
from websockets.asyncio.client import ClientConnection

from bus.contract import subjects
from bus.contract.records import ChatTurn, Record, decode_record
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from llm_workers.engines.scripted import expected_answer
from tests.integration.conftest import Launch
from tests.integration.gateway_client import (
    AUDIO_END,
    closed_with,
    dial,
    event,
    events_until_closed,
    get,
    speech,
)

PATIENCE_S = 30.0
SLOW = "tokens_per_s=50"
"""24 tokens in half a second: time to do something meanwhile."""
LONG = "count with me scripted:tokens=120"


async def chat(port: int, *, audio: bool = False, worker: bool = True, **options: Any) -> ClientConnection:
    """A session that is open, and knows its workers if there are any: their first heartbeats may be on their way."""
    start = {"type": "session.start", "language": "en", "chat": options} | ({} if audio else {"audio": None})
    async with asyncio.timeout(PATIENCE_S):
        while True:
            socket = await dial(port)
            await socket.send(json.dumps(start))
            told = json.loads(await socket.recv())
            if told["type"] == "session.started" and (told["chat_model"] or not worker):
                return socket
            await socket.close()


async def say(socket: ClientConnection, text: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": "chat.send", "text": text, **fields}))


async def end_of_answer(socket: ClientConnection) -> tuple[str, dict[str, Any]]:
    """All pieces until the answer is over, and how it ended."""
    pieces: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == "chat.delta":
                pieces.append(message["text"])
            elif message["type"] in ("chat.done", "chat.cancelled", "chat.failed"):
                return "".join(pieces), message


async def first_piece(socket: ClientConnection) -> str:
    text: str = (await event(socket, "chat.delta"))["text"]
    return text


async def test_a_typed_turn_is_answered_piece_by_piece(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW)
    socket = await chat(gateway.port)
    await say(socket, "hello there")
    text, done = await end_of_answer(socket)
    assert text == done["text"] == expected_answer("hello there")
    assert (done["type"], done["finish_reason"], done["model"]) == ("chat.done", "stop", "scripted")
    assert done["usage"]["completion_tokens"] == 24
    await socket.send(AUDIO_END)
    assert await closed_with(socket) == 1000


async def test_what_is_spoken_is_answered_after_its_final(
    launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await launch_llm_worker()
    socket = await chat(gateway.port, audio=True)
    await socket.send(speech())
    await socket.send(AUDIO_END)
    told = await events_until_closed(socket)
    kinds = [message["type"] for message in told]
    finals = [message["text"] for message in told if message["type"] == "transcript.final"]
    assert kinds.index("transcript.final") < kinds.index("chat.started") < kinds.index("chat.done")
    assert kinds[-1] == "session.ended"
    answers = [message["text"] for message in told if message["type"] == "chat.done"]
    assert answers[-1] == expected_answer("\n".join(finals))


async def test_when_a_worker_is_killed_another_goes_on_where_the_client_is(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    first = await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW)
    socket = await chat(gateway.port)
    await say(socket, LONG)
    head = await first_piece(socket)
    second = launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW)
    await first.stop(signal.SIGKILL)
    await second
    rest, done = await end_of_answer(socket)
    assert done["type"] == "chat.done"
    assert head + rest == done["text"] == expected_answer(LONG)
    _, _, metrics = await get(gateway.port, "/metrics")
    assert "harken_gateway_continuations_total 1.0" in metrics


async def test_a_worker_that_drains_hands_its_answer_on(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    gateway = await launch_gateway()
    first = await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW, HARKEN_LLM_DRAIN_TIMEOUT_S="0")
    await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW, HARKEN_LLM_PRIORITY="5")
    socket = await chat(gateway.port)
    await say(socket, LONG)
    head = await first_piece(socket)
    assert await first.stop(signal.SIGTERM) == 0
    rest, done = await end_of_answer(socket)
    assert head + rest == done["text"] == expected_answer(LONG)


async def test_without_a_worker_the_client_is_told_and_can_try_again(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    socket = await chat(gateway.port, worker=False)
    assert (await event(socket, "error"))["code"] == "no_worker"
    await say(socket, "hello")
    _, failed = await end_of_answer(socket)
    assert (failed["type"], failed["code"], failed["retryable"]) == ("chat.failed", "no_worker", True)
    await launch_llm_worker()
    async with asyncio.timeout(PATIENCE_S):
        while True:  # its first heartbeat may be still on its way
            await socket.send(json.dumps({"type": "chat.request"}))
            text, done = await end_of_answer(socket)
            if done["type"] == "chat.done":
                break
    assert text == expected_answer("hello")


async def test_a_model_that_nobody_serves_is_refused_at_the_start_with_those_there_are(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_llm_worker(HARKEN_LLM_ALIASES="clever")
    await (await chat(gateway.port, model="clever")).close()
    socket = await dial(gateway.port)
    await socket.send(json.dumps({"type": "session.start", "audio": None, "chat": {"model": "nonesuch"}}))
    refusal = await event(socket, "error")
    assert (refusal["code"], refusal["fatal"]) == ("unknown_model", True)
    assert "available: scripted" in refusal["message"]


async def test_a_cancel_reaches_the_engine_and_the_next_turn_is_answered(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    worker = await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW, HARKEN_LLM_SLOTS="1")
    socket = await chat(gateway.port)
    await say(socket, "count scripted:tokens=5000")
    head = await first_piece(socket)
    await socket.send(json.dumps({"type": "chat.cancel"}))
    rest, cancelled = await end_of_answer(socket)
    assert (cancelled["type"], cancelled["text"], cancelled["reason"]) == ("chat.cancelled", head + rest, "client")
    await say(socket, "hello")  # needs the one slot: it is free again
    text, _ = await end_of_answer(socket)
    assert text == expected_answer("hello")
    _, _, metrics = await get(worker.port, "/metrics")
    assert "harken_llm_cancels_total" in metrics


async def test_a_client_that_goes_frees_its_slot(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW, HARKEN_LLM_SLOTS="1")
    leaver = await chat(gateway.port)
    await say(leaver, "count scripted:tokens=5000")
    await first_piece(leaver)
    await leaver.close()
    socket = await chat(gateway.port)
    await say(socket, "hello")
    text, _ = await end_of_answer(socket)
    assert text == expected_answer("hello")


async def test_an_engine_that_breaks_off_is_asked_again_and_at_last_given_up(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_llm_worker()
    socket = await chat(gateway.port)
    await say(socket, "hello scripted:fail scripted:tokens=9")
    text, done = await end_of_answer(socket)
    assert done["type"] == "chat.done"  # three tokens further each time
    assert text == expected_answer("hello scripted:tokens=9")
    await say(socket, "hello scripted:refuse")
    _, failed = await end_of_answer(socket)
    assert (failed["type"], failed["code"]) == ("chat.failed", "chat_failed")


async def test_a_restart_of_nats_pauses_an_answer_and_loses_nothing(
    nats_server: EmbeddedNats, launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW)
    socket = await chat(gateway.port)
    await say(socket, LONG)
    head = await first_piece(socket)
    await nats_server.kill()
    rest = asyncio.create_task(end_of_answer(socket))
    await nats_server.start()
    tail, done = await rest
    assert head + tail == done["text"] == expected_answer(LONG)


async def test_turns_are_stored_beside_transcripts_in_order_and_the_conversation_has_a_key(
    nats_server: EmbeddedNats, launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_llm_worker()
    client = await nats.connect(nats_server.url)
    live: deque[Record] = deque()
    subscription = await client.subscribe(subjects.live_tenant("default"))
    socket = await chat(gateway.port)
    for text in ("hello", "and now"):
        await say(socket, text)
        await end_of_answer(socket)
    await socket.send(AUDIO_END)
    assert await closed_with(socket) == 1000
    while len(live) < 4:
        live.append(decode_record((await subscription.next_msg(PATIENCE_S)).data))
    turns = [(turn.turn, turn.role, turn.text) for turn in live if isinstance(turn, ChatTurn)]
    assert turns == [
        (1, "user", "hello"),
        (2, "assistant", expected_answer("hello")),
        (3, "user", "and now"),
        (4, "assistant", expected_answer("and now")),
    ]
    bucket = await client.jetstream().key_value("SESSIONS")
    (key,) = await bucket.keys()
    saved = msgspec.json.decode((await bucket.get(key)).value or b"")
    assert [message["text"] for message in saved["messages"]] == [text for _, _, text in turns]
    await client.close()


async def test_many_sessions_on_few_slots_are_all_answered(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_llm_worker(HARKEN_LLM_SLOTS="2", HARKEN_LLM_ENGINE_SETTINGS="tokens_per_s=500")
    sockets = [await chat(gateway.port) for _ in range(12)]
    for number, socket in enumerate(sockets):
        await say(socket, f"session {number}")
    answers = await asyncio.gather(*(end_of_answer(socket) for socket in sockets))
    assert [text for text, _ in answers] == [expected_answer(f"session {number}") for number in range(12)]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "chat.send"}, "invalid_message"),
        ({"type": "chat.send", "text": " "}, "invalid_message"),
        ({"type": "chat.request"}, "nothing_to_answer"),
        ({"type": "chat.configure", "max_tokens": 0}, "invalid_message"),
        ({"type": "chat.configure", "model": "nonesuch"}, "unknown_model"),
    ],
)
async def test_a_wrong_chat_message_is_answered_and_the_chat_goes_on(
    launch_gateway: Launch, launch_llm_worker: Launch, message: dict[str, Any], code: str
) -> None:
    gateway = await launch_gateway()
    await launch_llm_worker()
    socket = await chat(gateway.port)
    await socket.send(json.dumps(message))
    error = await event(socket, "error")
    assert (error["code"], error["fatal"]) == (code, False)
    await say(socket, "hello")
    assert (await end_of_answer(socket))[0] == expected_answer("hello")


async def test_audio_in_a_session_without_audio_is_refused_and_the_chat_goes_on(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_llm_worker()
    socket = await chat(gateway.port)
    await socket.send(b"\x00" * 640)
    assert (await event(socket, "error"))["code"] == "no_chat"
    await say(socket, "hello")
    assert (await end_of_answer(socket))[0] == expected_answer("hello")


async def test_nobodys_words_are_logged(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    gateway = await launch_gateway(HARKEN_LOG_LEVEL="debug")
    worker = await launch_llm_worker(HARKEN_LOG_LEVEL="debug")
    socket = await chat(gateway.port, instructions="sesame instructions")
    await say(socket, "sesame")
    assert "sesame.1" in (await end_of_answer(socket))[0]
    await say(socket, "sesame scripted:refuse")
    await end_of_answer(socket)
    await socket.close()
    for process in (gateway, worker):
        await process.stop(signal.SIGTERM)
        assert b"sesame" not in process.output


async def test_garbage_in_the_chat_inbox_is_counted_and_disturbs_nobody(
    nats_server: EmbeddedNats, launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_llm_worker()
    socket = await chat(gateway.port)
    bus = await BusConnection.connect(nats_server.url, name="vandal", inbox_prefix="_INBOX_x", connect_timeout_s=10)
    await bus.publish("inbox.chat.g1.s1", b"not for this gateway")
    for subject in ("presence.llm.std.w1", "cancel.llm.std"):
        await bus.publish(subject, b"\xc1garbage")
    await bus.flush()
    await say(socket, "hello")
    assert (await end_of_answer(socket))[0] == expected_answer("hello")
    await bus.aclose()


@pytest.mark.weights
async def test_a_real_model_goes_on_in_the_same_words_when_its_worker_is_killed(
    launch_gateway: Launch, launch_llm_worker: Launch, smollm2_path: Path
) -> None:
    real = {"HARKEN_LLM_ENGINE": "openai-compatible", "HARKEN_LLM_MODEL": str(smollm2_path)}
    gateway = await launch_gateway()
    first = await launch_llm_worker(**real)
    question = "Write one long sentence about a river."
    options: dict[str, Any] = {"temperature": 0, "max_tokens": 60}
    undisturbed = await chat(gateway.port, **options)
    await say(undisturbed, question)
    expected, _ = await end_of_answer(undisturbed)

    socket = await chat(gateway.port, **options)
    await say(socket, question)
    head = await first_piece(socket) + await first_piece(socket)
    second = asyncio.ensure_future(launch_llm_worker(**real))
    await first.stop(signal.SIGKILL)
    await second
    rest, done = await end_of_answer(socket)

    assert done["type"] == "chat.done"
    assert head + rest == done["text"] == expected
