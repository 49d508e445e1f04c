"""Typed turns and their answers over a real socket."""

import asyncio

import pytest

from bus.contract.client_protocol import (
    AudioEnd,
    ChatCancel,
    ChatCancelled,
    ChatConfigure,
    ChatDelta,
    ChatDone,
    ChatOptions,
    ChatRequest,
    ChatReset,
    ChatSend,
    ChatStarted,
    ErrorEvent,
    TranscriptFinal,
)
from bus.contract.errors import ChatFailed, NoChat, NothingToAnswer
from clients.failures import AnswerCancelled, ConnectionLost, SessionOver
from clients.sdk import NO_AUDIO, AnswerStream, connect
from clients.session import Phase
from tests.unit.clients.events import chat_started, delta, ended
from tests.unit.clients.stub_chat import FAIL, HALF, HOLD, ChatScript
from tests.unit.clients.stub_service import BYTES_PER_FINAL, StubService, StubSession

CHAT = ChatOptions(instructions="Be brief.", model="smollm2", auto=False)


async def joined(answer: AnswerStream) -> str:
    return "".join([piece async for piece in answer])


async def test_a_typed_turn_is_answered_piece_by_piece() -> None:
    async with StubService(ChatScript()) as service, connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
        answer = session.answer("hi there")
        pieces = [piece async for piece in answer]
    assert "".join(pieces) == answer.text == "You said: hi there."
    assert isinstance(answer.end, ChatDone)
    assert answer.end.usage.completion_tokens == 21
    assert service.starts[0].audio is None
    assert service.starts[0].chat == CHAT


async def test_the_events_of_a_turn_come_by_the_iteration_if_nobody_waits_for_its_answer() -> None:
    async with StubService(ChatScript()) as service, connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
        await session.say("hi")
        await session.end()
        events = [event async for event in session]
    assert isinstance(events[0], ChatStarted)
    assert "".join(event.text for event in events if isinstance(event, ChatDelta)) == "You said: hi."
    assert isinstance(events[-2], ChatDone)
    assert session.phase is Phase.ENDED


async def test_all_commands_reach_the_service_in_their_order() -> None:
    script = ChatScript()
    async with StubService(script) as service, connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
        await session.say("remember this", answer=False)
        await session.configure_chat(instructions="", temperature=0.0)
        await session.request_answer()
        await session.cancel_answer()
        await session.reset_chat()
        await session.end()
        assert [event async for event in session]
    assert script.commands == [
        ChatSend(text="remember this", answer=False, id="m1"),
        ChatConfigure(instructions="", temperature=0.0),
        ChatRequest(id="m3"),
        ChatCancel(),
        ChatReset(),
        AudioEnd(),
    ]


async def test_an_answer_that_is_stopped_raises_and_keeps_what_came() -> None:
    async with StubService(ChatScript()) as service, connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
        answer = session.answer(f"{HOLD} on")
        pieces = []
        with pytest.raises(AnswerCancelled, match="client"):
            async for piece in answer:
                pieces.append(piece)
                if answer.text == HALF:
                    await session.cancel_answer()
        assert "".join(pieces) == HALF
        assert isinstance(answer.end, ChatCancelled)


async def test_the_next_turn_stops_the_running_answer_and_has_its_own() -> None:
    async with StubService(ChatScript()) as service, connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
        first = session.answer(f"{HOLD} on")
        await anext(first)
        assert await joined(session.answer("hi")) == "You said: hi."
        with pytest.raises(AnswerCancelled, match="turn"):
            while True:
                await anext(first)


async def test_an_answer_that_fails_raises_and_may_be_asked_for_again() -> None:
    async with StubService(ChatScript()) as service, connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
        with pytest.raises(ChatFailed, match="it broke off"):
            await anext(session.answer(f"{FAIL} once"))
        assert await joined(session.answer()) == "You said: once."


async def test_a_turn_that_the_service_refuses_raises_and_the_error_stays_an_event_too() -> None:
    async with StubService(ChatScript()) as service, connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
        with pytest.raises(NothingToAnswer):
            await anext(session.answer())
        assert isinstance(await anext(session), ErrorEvent)


async def test_one_task_takes_an_answer_while_another_iterates_over_all_else() -> None:
    async with StubService(ChatScript()) as service, connect(service.url, chat=ChatOptions()) as session:
        answer = session.answer("hi")
        first = await anext(answer)
        typed = asyncio.create_task(joined(answer))
        await session.send(bytes(BYTES_PER_FINAL))
        await typed
        await session.end()
        events = [event async for event in session]
    assert first + typed.result() == "You said: hi."
    assert [event.text for event in events if isinstance(event, TranscriptFinal)] == ["This is segment 1."]
    spoken = [event for event in events if isinstance(event, ChatStarted | ChatDelta | ChatDone)]
    assert len({event.answer for event in spoken}) == 1
    assert isinstance(spoken[-1], ChatDone)
    assert spoken[-1].text == "You said: segment 1."


async def test_audio_is_refused_in_a_session_without_it_and_turns_in_one_without_chat() -> None:
    async with StubService(ChatScript()) as service:
        async with connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
            with pytest.raises(NoChat, match="no audio"):
                await session.send(b"aa")
        async with connect(service.url) as session:
            with pytest.raises(NoChat, match="no chat"):
                await session.say("hi")
            with pytest.raises(NoChat, match="no chat"):
                await anext(session.answer("hi"))


async def test_a_session_with_neither_audio_nor_chat_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="needs chat"):
        async with connect("ws://127.0.0.1:1", audio=NO_AUDIO):
            pass


async def test_an_answer_whose_session_breaks_raises_the_error_of_the_session() -> None:
    async def vanish(session: StubSession) -> None:
        await session.open()
        await session.receive()
        await session.send(chat_started(2))
        await session.send(delta(3, "Half"))
        session.socket.transport.abort()

    async with StubService(vanish) as service, connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
        answer = session.answer("hi")
        with pytest.raises(ConnectionLost):
            async for _ in answer:
                pass
        assert answer.text == "Half"


async def test_an_answer_that_is_missing_when_the_session_ends_is_an_error() -> None:
    async def leave(session: StubSession) -> None:
        await session.open()
        await session.receive()
        await session.send(ended(2))

    async with StubService(leave) as service, connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
        with pytest.raises(SessionOver, match="before the answer"):
            await anext(session.answer("hi"))


async def test_a_reader_that_takes_its_time_gets_the_answer_in_fewer_pieces_and_whole() -> None:
    async with StubService(ChatScript()) as service, connect(service.url, audio=NO_AUDIO, chat=CHAT) as session:
        answer = session.answer("a b c d e f")
        pieces = [await anext(answer)]
        await session.end()
        assert [event.seq async for event in session]  # all of the answer has come meanwhile
        pieces += [piece async for piece in answer]
    assert len(pieces) <= 2
    assert "".join(pieces) == "You said: a b c d e f."
