"""A chat goes on on another gateway: each piece of an answer is there once, and so is each turn."""

import asyncio
import json
import signal
from typing import Any

from websockets.asyncio.client import ClientConnection

from bus.contract.records import ChatTurn
from bus.transport.connection import BusConnection
from llm_workers.engines.scripted import expected_answer
from tests.integration.broker import watch
from tests.integration.conftest import Launch
from tests.integration.gateway_client import AUDIO_END, dial

_PATIENCE_S = 30.0
_SLOW = "tokens_per_s=50"
_LONG = "count with me scripted:tokens=120"
_ENDS = ("chat.done", "chat.cancelled", "chat.failed")


class Talk:
    """A client of one session without audio, with what it must keep to take the session up again."""

    def __init__(self) -> None:
        self.socket: ClientConnection
        self.opened: dict[str, Any] = {}
        self.seq = 1
        self.texts: dict[int, str] = {}
        self.ends: dict[int, dict[str, Any]] = {}
        self.unstored: dict[str, dict[str, Any]] = {}
        self.turns: list[dict[str, Any]] = []

    async def start(self, port: int) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while not self.opened.get("chat_model"):
                self.socket = await dial(port)
                await self.socket.send(json.dumps({"type": "session.start", "audio": None, "chat": {}}))
                self.opened = json.loads(await self.socket.recv())

    async def say(self, text: str, id: str) -> None:
        self.unstored[id] = {"type": "chat.send", "text": text, "id": id}
        await self.socket.send(json.dumps(self.unstored[id]))

    async def resume(self, port: int) -> None:
        newest = max(self.texts, default=0)
        held = {"answer": newest, "text": None if newest in self.ends else self.texts[newest]} if newest else None
        resume = {"session": self.opened["session"], "token": self.opened["resume"]["token"], "seq": self.seq}
        self.socket = await dial(port, "/v1/stream?resume=1")
        await self.socket.send(json.dumps({"type": "session.resume", **resume, "answer": held}))
        await self.until("session.resumed")
        for turn in self.unstored.values():
            await self.socket.send(json.dumps(turn))

    async def until(self, *kinds: str) -> dict[str, Any]:
        async with asyncio.timeout(_PATIENCE_S):
            while (event := self._see(json.loads(await self.socket.recv())))["type"] not in kinds:
                pass
        return event

    def _see(self, event: dict[str, Any]) -> dict[str, Any]:
        assert event["seq"] == self.seq + 1
        self.seq += 1
        match event["type"]:
            case "chat.turn":
                self.turns.append(event)
                self.unstored.pop(event["id"], None)
            case "chat.started":
                self.texts[event["answer"]] = ""
            case "chat.delta":
                self.texts[event["answer"]] += event["text"]
            case "chat.done" | "chat.cancelled" | "chat.failed":
                assert self.texts[event["answer"]] == event["text"]
                self.ends[event["answer"]] = event
        return event


async def test_an_answer_goes_on_when_socket_and_gateway_are_cut_and_a_turn_that_was_sent_just_then_is_taken_once(
    launch_gateway: Launch, launch_llm_worker: Launch, bus: BusConnection
) -> None:
    first, second, third, _ = await asyncio.gather(
        *(launch_gateway() for _ in range(3)), launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=_SLOW)
    )
    records = await watch(bus)
    talk = Talk()
    await talk.start(first.port)
    await talk.say(_LONG, "c1")
    await talk.until("chat.delta")
    talk.socket.transport.abort()
    await talk.resume(first.port)
    await talk.until("chat.delta")
    await first.stop(signal.SIGKILL)
    await talk.resume(second.port)
    done = await talk.until(*_ENDS)
    assert (done["type"], done["answer"], done["text"]) == ("chat.done", 1, expected_answer(_LONG))

    await talk.say("and now", "c2")
    await second.stop(signal.SIGKILL)
    await talk.resume(third.port)
    while expected_answer("and now") not in talk.texts.values():
        await talk.until(*_ENDS)
    while talk.unstored:
        await talk.until("chat.turn")
    await talk.socket.send(AUDIO_END)
    await talk.until("session.ended")
    await bus.flush()
    seen = [records.get_nowait() for _ in range(records.qsize())]
    turns = [one for one in seen if isinstance(one, ChatTurn)]
    assert [turn.turn for turn in turns] == list(range(1, len(turns) + 1))
    assert [(turn.text, turn.id) for turn in turns if turn.role == "user"] == [(_LONG, "c1"), ("and now", "c2")]
    assert turns[1].text == expected_answer(_LONG)
