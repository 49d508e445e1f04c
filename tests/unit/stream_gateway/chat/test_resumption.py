"""Where a chat goes on, from what is stored and what the client has."""

from collections.abc import Sequence
from typing import Any

from bus.contract.chat_work import ChatMessage
from bus.contract.client_protocol import ChatOptions, HeldAnswer, SessionStart
from bus.contract.records import ChatTurn, Record, SegmentFailed, SessionResumed, TranscriptFinal
from bus.contract.session_record import SessionRecord
from stream_gateway.chat.client_ids import MAX_IDS
from stream_gateway.chat.resumption import ChatResumption, MissedEvent, RunningAnswer, SpokenTurn, resume_chat
from stream_gateway.session.events import ChatCancelled, ChatDelta, ChatDone, ChatFailed, ChatStarted, TurnStored

OF: Any = {"tenant": "t1", "session": "s1"}
TIMES: Any = {"start_s": 0.0, "end_s": 1.0}


def user(turn: int, text: str = "hello", **fields: Any) -> ChatTurn:
    return ChatTurn(turn=turn, role="user", text=text, **{"source": "typed", "asks": True, **OF, **fields})


def assistant(turn: int, answer: int, text: str = "hi", **fields: Any) -> ChatTurn:
    return ChatTurn(turn=turn, role="assistant", text=text, source="model", answer=answer, model="m", **OF, **fields)


def final(segment: int, text: str = "spoken", channel: int = 0) -> TranscriptFinal:
    return TranscriptFinal(segment=segment, text=text, channel=channel, **OF, **TIMES)


def spoken(turn: int, segment: int, **fields: Any) -> ChatTurn:
    return user(turn, "spoken", source="speech", segment=segment, **fields)


def resumed(
    *records: Record,
    held: HeldAnswer | None = None,
    segments: Sequence[int] = (),
    start: ChatOptions | None = None,
    **saved: Any,
) -> ChatResumption:
    record = SessionRecord(
        gateway="g1", token_sha256="", expires_at=0.0, start=SessionStart(chat=start or ChatOptions()), **saved
    )
    return resume_chat(record, records, held, 2, segments)


def told(resumption: ChatResumption) -> list[object]:
    return [missed.event for missed in resumption.missed]


def has(answer: int, text: str | None = None) -> HeldAnswer:
    return HeldAnswer(answer=answer, text=text)


def test_a_chat_of_which_nothing_is_stored_begins_as_it_was_started() -> None:
    options = ChatOptions(instructions="be brief")
    assert resumed(start=options) == ChatResumption(options=options, attempts=2000)


def test_the_conversation_is_what_was_saved_and_the_turns_that_came_after() -> None:
    saved = (ChatMessage("user", "one"), ChatMessage("assistant", "two"))
    resumption = resumed(
        user(1, "one"),
        assistant(2, 1, "two"),
        user(3, "three"),
        assistant(4, 2, "four"),
        assistant(5, 3, "", end="cancelled"),
        assistant(6, 4, "half an answer", end="failed"),
        messages=saved,
        turns=2,
        answers=1,
        chat=ChatOptions(max_tokens=7),
        held=has(4),
    )
    assert resumption.messages == (*saved, ChatMessage("user", "three"), ChatMessage("assistant", "four"))
    assert (resumption.turns, resumption.answers, resumption.options.max_tokens) == (6, 4, 7)
    assert not resumption.wanted, "a failed answer is asked for anew"


def test_numbers_go_on_behind_what_anybody_knows() -> None:
    resumption = resumed(turns=4, answers=2, held=has(3))
    assert (resumption.turns, resumption.answers) == (4, 3)


class TestAnAnswer:
    def test_is_wanted_if_a_turn_since_the_last_one_asks(self) -> None:
        assert resumed(user(1)).wanted
        assert resumed(user(1), user(2, asks=False)).wanted
        assert not resumed(user(1, asks=False)).wanted
        assert not resumed(user(1), assistant(2, 1, "", end="cancelled"), user(3, asks=False)).wanted

    def test_is_named_as_the_newest_typed_turn(self) -> None:
        assert resumed(user(1, id="a"), user(2, id="b"), spoken(3, 1)).id == "b"
        assert resumed(user(1, id="a"), assistant(2, 1), user(3)).id is None

    def test_of_which_the_client_has_a_part_goes_on(self) -> None:
        resumption = resumed(user(1), held=has(1, "he"))
        assert resumption.running == RunningAnswer(number=1, text="he")
        assert (resumption.answers, resumption.wanted, told(resumption)) == (1, False, [user_told(1)])

    def test_of_which_the_client_knows_the_end_is_not_given_again(self) -> None:
        assert not resumed(user(1), held=has(1)).wanted

    def test_counts_as_stopped_if_what_it_answers_is_not_there(self) -> None:
        resumption = resumed(held=has(1, "he"))
        stopped = ChatCancelled(1, "he", "session")
        assert (resumption.running, resumption.stopped, resumption.wanted) == (None, stopped, False)
        assert resumption.missed == (MissedEvent(0, stopped),)

    def test_counts_as_stopped_if_somebody_has_spoken_since(self) -> None:
        resumption = resumed(user(1), final(7, "spoken"), held=has(1, "he"))
        assert (resumption.running, resumption.stopped) == (None, ChatCancelled(1, "he", "speech"))
        assert resumption.wanted, "what was spoken is answered"
        assert not resumed(user(1), final(7), held=has(1, "he"), start=ChatOptions(auto=False)).wanted

    def test_counts_as_stopped_if_a_later_one_is_over(self) -> None:
        resumption = resumed(user(1), assistant(2, 2, "hi"), held=has(1, "he"))
        assert resumption.stopped == ChatCancelled(1, "he", "session")


class TestSpeech:
    def test_whose_turn_is_not_stored_becomes_one_unless_it_has_no_words(self) -> None:
        resumption = resumed(final(1), spoken(1, 1), assistant(2, 1), final(2, "more"), final(3, ""), held=has(1))
        assert resumption.spoken == (SpokenTurn(segment=2, text="more"),)
        assert resumption.wanted

    def test_is_answered_only_where_that_is_wanted(self) -> None:
        assert not resumed(final(1), chat=ChatOptions(auto=False)).wanted


def user_told(turn: int, **fields: Any) -> TurnStored:
    return TurnStored(turn=turn, **{"source": "typed", **fields})


class TestWhatTheClientHasMissed:
    def test_is_all_of_an_answer_that_it_knows_nothing_of(self) -> None:
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "cached_tokens": 1}
        resumption = resumed(
            user(1, id="c1"),
            assistant(2, 1, "hi", id="c1", **usage),
            user(3),
            assistant(4, 2, "", end="length"),
            user(5),
            assistant(6, 3, "well", end="failed"),
        )
        first, delta, done, *rest = told(resumption)[1:]
        assert told(resumption)[0] == user_told(1, id="c1")
        assert (first, delta) == (ChatStarted(1, "m", "c1"), ChatDelta(1, "hi"))
        assert isinstance(done, ChatDone)
        assert (done.text, done.finish_reason, done.model, done.times.total_s) == ("hi", "stop", "m", 0.0)
        assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.cached_tokens) == (3, 2, 1)
        assert [type(event) for event in rest] == [
            *(TurnStored, ChatStarted, ChatDone),
            *(TurnStored, ChatStarted, ChatDelta, ChatFailed),
        ]
        assert isinstance(rest[2], ChatDone)
        assert rest[2].finish_reason == "length"
        assert isinstance(rest[-1], ChatFailed)
        assert (rest[-1].error.code, rest[-1].error.retryable) == ("chat_failed", True)

    def test_is_the_rest_of_an_answer_that_it_has_a_part_of(self) -> None:
        records = (user(1), assistant(2, 1, "hello", end="cancelled"))
        end = ChatCancelled(1, "hello", "session")
        assert told(resumed(*records, held=has(1, "hel")))[1:] == [ChatDelta(1, "lo"), end]
        assert told(resumed(*records, held=has(1, "hello")))[1:] == [end]
        assert told(resumed(*records, held=has(1, "another")))[1:] == [end], "what it has is not of this answer"

    def test_is_nothing_of_answers_whose_end_it_knows(self) -> None:
        assert told(resumed(user(1), assistant(2, 1), user(3), assistant(4, 2), held=has(2))) == []

    def test_is_told_with_the_record_that_it_is_of(self) -> None:
        resumption = resumed(
            SessionResumed(epoch=1, **OF), user(1), final(1, ""), assistant(2, 1, "hi"), user(3), held=has(2, "he")
        )
        assert [(one.index, type(one.event)) for one in resumption.missed] == [(4, TurnStored)]
        resumption = resumed(user(1), assistant(2, 1, "hi"), held=has(2, "he"))
        assert [(one.index, type(one.event)) for one in resumption.missed] == [(2, ChatCancelled)]

    def test_is_no_turn_that_is_before_something_which_the_client_has(self) -> None:
        records = (
            *(final(1), spoken(1, 1), final(2, channel=1), spoken(2, 2)),
            *(SegmentFailed(segment=3, code="", message="", **OF, **TIMES), final(4), spoken(3, 4)),
        )
        assert told(resumed(*records, segments=(1, 2), start=ChatOptions(auto=False))) == [
            user_told(2, source="speech", segment=2),
            user_told(3, source="speech", segment=4),
        ]
        assert told(resumed(*records, segments=(3,))) == [user_told(3, source="speech", segment=4)]

    def test_is_no_turn_that_the_client_has_put_there_for_the_assistant(self) -> None:
        added = ChatTurn(turn=1, role="assistant", text="hi", source="typed", **OF)
        assert told(resumed(added)) == []


def test_the_newest_names_of_turns_are_known() -> None:
    resumption = resumed(user(1), *(user(number, id=f"c{number}") for number in range(2, MAX_IDS + 3)))
    assert len(resumption.stored) == MAX_IDS
    assert (resumption.stored[0].id, resumption.stored[-1].id) == ("c3", f"c{MAX_IDS + 2}")
