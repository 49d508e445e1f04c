"""A chat within a session: what speech does to it, and what it does to the session's phases and clocks."""

from typing import Any

from bus.contract import chat_work as work
from bus.contract import client_protocol as client
from bus.contract.client_protocol import ChatOptions, ResumeGrant
from bus.contract.presence import WorkerPresence
from bus.control.roster import Roster
from stream_gateway.chat.options import ChatConfig
from stream_gateway.policy.pool import Pool
from stream_gateway.session import events
from stream_gateway.session.config import SessionLimits
from stream_gateway.session.effects import Ask, Close, Effect, StopAnswer, StoreTurn
from stream_gateway.session.session import Phase
from tests.unit.stream_gateway.chat.desk import TIMINGS, USAGE
from tests.unit.stream_gateway.session.builders import Harness, emitted, of_type


class ChatHarness(Harness):
    def __init__(self, *, worker: bool = True, limits: SessionLimits | None = None, **config: Any) -> None:
        self.roster = Roster(kind="LLM")
        chat = ChatConfig(session="s1", tenant="t1", options=ChatOptions())
        super().__init__(limits=limits, chat=chat, llm=self.roster, **config)
        if worker:
            self.beat()
        self.start()

    def beat(self) -> None:
        presence = WorkerPresence(worker="w1", pool="std", model="m", slots=1, state="ready", free_slots=1)
        self.roster.on_presence(presence, self.now)

    def say(self, text: str = "hello") -> list[Effect]:
        return self.do(lambda: self.session.on_command(client.ChatSend(text=text), self.now))

    def reply(self, reply: work.ChatReply) -> list[Effect]:
        return self.do(lambda: self.session.on_chat(lambda chat: chat.on_reply(reply, self.now), self.now))

    def finish_answer(self, text: str = "hi") -> list[Effect]:
        ask = of_type(self.effects, Ask)[-1]
        of = {"answer": ask.answer, "attempt": ask.attempt}
        self.do(lambda: self.session.on_chat(lambda chat: chat.on_asked(**of, now=self.now, succeeded=True), self.now))
        self.reply(work.ChatDelta(session="s1", seq=1, text=text, **of))
        return self.reply(
            work.ChatDone(
                session="s1",
                deltas=1,
                finish_reason="stop",
                usage=USAGE,
                timings=TIMINGS,
                model="m",
                worker="w1",
                **of,
            )
        )

    def store_turns(self) -> None:
        stored = 0
        while stored < len(turns := of_type(self.effects, StoreTurn)):
            turn = turns[stored].turn
            stored += 1
            self.do(
                lambda turn=turn: self.session.on_chat(  # type: ignore[misc]
                    lambda chat: chat.on_turn_stored(turn, self.now, succeeded=True), self.now
                )
            )


def without_audio(**config: Any) -> ChatHarness:
    return ChatHarness(channels=0, model="", **config)


def test_what_is_said_is_answered_once_its_final_is_stored() -> None:
    harness = ChatHarness()
    decode = harness.utterance()
    harness.answer(decode, "what time is it")
    assert of_type(harness.effects, Ask) == []
    harness.beat()
    harness.store()
    (ask,) = of_type(harness.effects, Ask)
    assert ask.messages == (work.ChatMessage("user", "what time is it"),)


def test_what_is_said_is_decoded_in_a_hurry_while_it_is_to_be_answered_and_the_pool_is_slow() -> None:
    pool = Pool()
    harness = ChatHarness(pool=pool, partials=True)
    measured = harness.utterance()
    pool.haste.on_final(0.6, harness.now, hurried=False)
    awaited = harness.utterance()
    harness.do(lambda: harness.session.on_command(client.ChatConfigure(auto=False), harness.now))
    recorded = harness.utterance()
    assert [one.hurried for one in (measured, awaited, recorded)] == [False, True, False]


def test_the_start_tells_who_answers() -> None:
    assert ChatHarness().events()[0] == events.Started("s1", "base", 1, "m")


def test_a_session_starts_without_an_llm_worker_and_says_so() -> None:
    started, notice = ChatHarness(worker=False).events()
    assert started == events.Started("s1", "base", 1, None)
    assert isinstance(notice, events.Fault)
    assert (notice.error.code, notice.fatal) == ("no_worker", False)


def test_a_chat_message_without_a_chat_is_an_error_that_ends_nothing() -> None:
    harness = Harness().start()
    harness.do(lambda: harness.session.on_command(client.ChatCancel(), harness.now))
    (fault,) = emitted(harness.effects, events.Fault)
    assert (fault.error.code, fault.fatal) == ("no_chat", False)


def test_a_chat_message_before_the_start_is_fatal() -> None:
    harness = Harness()
    harness.do(lambda: harness.session.on_command(client.ChatCancel(), harness.now))
    assert harness.closes() == [Close(4400, "invalid_message")]


def test_a_wish_that_cannot_be_is_an_error_that_ends_nothing() -> None:
    harness = ChatHarness()
    harness.do(lambda: harness.session.on_command(client.ChatRequest(), harness.now))
    (fault,) = emitted(harness.effects, events.Fault)
    assert (fault.error.code, fault.fatal) == ("nothing_to_answer", False)


def test_a_session_without_audio_chats_and_ends() -> None:
    harness = without_audio()
    harness.say()
    harness.finish_answer()
    harness.store_turns()
    harness.do(lambda: harness.session.on_audio_end(harness.now))
    assert harness.closes() == [Close(1000, "audio_end")]
    assert not harness.session.is_full


def test_the_end_waits_for_the_running_answer_and_its_record() -> None:
    harness = without_audio()
    harness.say()
    harness.do(lambda: harness.session.on_audio_end(harness.now))
    assert harness.session.phase is Phase.ENDING
    assert harness.say("too late") == []
    harness.finish_answer()
    assert harness.session.phase is Phase.ENDING
    harness.store_turns()
    assert [type(event) for event in harness.events()][-3:] == [events.ChatDone, events.TurnStored, events.Ended]


def test_where_a_client_may_resume_it_is_told_of_an_answer_once_what_it_answers_is_stored() -> None:
    harness = without_audio(resume=ResumeGrant(token="t", within_s=60.0))
    harness.say()
    harness.finish_answer()
    harness.store_turns()
    told = [type(event) for event in harness.events()][-4:]
    assert told == [events.TurnStored, events.ChatStarted, events.ChatDelta, events.ChatDone]


def test_the_socket_is_not_read_while_many_turns_are_not_stored() -> None:
    harness = without_audio()
    seen = []
    for _ in range(256):
        seen.append(harness.session.is_full)
        harness.do(lambda: harness.session.on_command(client.ChatSend(text="x", answer=False), harness.now))
    seen.append(harness.session.is_full)
    harness.store_turns()
    seen.append(harness.session.is_full)
    assert seen == [*[False] * 256, True, False]


def test_the_last_answer_can_be_stopped_while_the_session_ends() -> None:
    harness = without_audio()
    harness.say()
    harness.do(lambda: harness.session.on_audio_end(harness.now))
    harness.do(lambda: harness.session.on_command(client.ChatCancel(), harness.now))
    harness.store_turns()
    assert harness.session.phase is Phase.CLOSED
    assert of_type(harness.effects, StopAnswer) == [StopAnswer(1, 1)]


def test_a_client_that_goes_stops_its_answer_and_what_was_said_is_stored() -> None:
    harness = without_audio()
    harness.say()
    harness.do(lambda: harness.session.on_gone(harness.now))
    assert of_type(harness.effects, StopAnswer) == [StopAnswer(1, 1)]
    harness.store_turns()
    assert harness.session.phase is Phase.CLOSED


def test_a_client_that_goes_while_the_session_ends_stops_its_answer_too() -> None:
    harness = without_audio()
    harness.say()
    harness.do(lambda: harness.session.on_audio_end(harness.now))
    harness.do(lambda: harness.session.on_gone(harness.now))
    assert of_type(harness.effects, StopAnswer) == [StopAnswer(1, 1)]


def test_a_session_that_chats_is_not_idle_and_one_that_does_not_is() -> None:
    limits = SessionLimits(idle_timeout_s=10.0)
    harness = without_audio(limits=limits)
    harness.pass_time(9.0)
    harness.beat()
    harness.say()
    for _ in range(12):
        harness.pass_time(1.0)
        harness.beat()
    assert harness.session.phase is Phase.OPEN
    harness.finish_answer()
    harness.store_turns()
    harness.pass_time(11.0)
    assert harness.closes() == [Close(4408, "idle_timeout")]


def test_replies_after_the_end_are_ignored() -> None:
    harness = without_audio()
    harness.do(lambda: harness.session.on_audio_end(harness.now))
    taken = work.ChatTaken(session="s1", answer=1, attempt=1, worker="w1", model="m")
    assert harness.reply(taken) == []


def test_an_outage_of_the_bus_is_told_to_the_chat() -> None:
    harness = without_audio()
    harness.say()
    harness.do(lambda: harness.session.on_bus(harness.now, connected=False))
    harness.pass_time(5.0)
    assert [ask.attempt for ask in of_type(harness.effects, Ask)] == [1]
    harness.beat()
    harness.do(lambda: harness.session.on_bus(harness.now, connected=True))
    assert [ask.attempt for ask in of_type(harness.effects, Ask)] == [1, 2]


def test_the_time_of_a_session_that_drains_ends_its_answer() -> None:
    harness = without_audio()
    harness.say()
    harness.do(lambda: harness.session.on_drain(5.0, harness.now))
    for _ in range(6):
        harness.beat()
        harness.pass_time(1.0)
    harness.store_turns()
    (cancelled,) = emitted(harness.effects, events.ChatCancelled)
    assert cancelled.reason == "session"
    assert harness.closes() == [Close(1012, "draining")]


def test_a_record_that_cannot_be_stored_keeps_no_session_for_ever() -> None:
    harness = without_audio(limits=SessionLimits(ending_timeout_s=10.0))
    harness.say()
    harness.finish_answer()
    harness.do(lambda: harness.session.on_audio_end(harness.now))
    for _ in range(12):
        turn = of_type(harness.effects, StoreTurn)[-1].turn
        harness.do(
            lambda turn=turn: harness.session.on_chat(  # type: ignore[misc]
                lambda chat: chat.on_turn_stored(turn, harness.now, succeeded=False), harness.now, progress=False
            )
        )
        harness.pass_time(1.0)
    assert harness.session.phase is Phase.CLOSED
