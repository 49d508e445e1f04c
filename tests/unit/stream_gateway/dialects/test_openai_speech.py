"""What was said, as items."""

from collections.abc import Mapping
from typing import Any

from bus.contract.client_protocol import AudioCommit
from stream_gateway.chat.commands import ForgetTurns, TurnRef
from stream_gateway.session.events import CommitDone, Failed, SpeechCleared, SpeechEnded, SpeechStarted
from tests.unit.stream_gateway.dialects.openai_desk import MANUAL, TRANSCRIPTION, Desk, error_of, final, kinds, partial

DELTA, COMPLETED, FAILED = (f"{TRANSCRIPTION}.{what}" for what in ("delta", "completed", "failed"))


def listening(query: str = "intent=transcription", session: Mapping[str, Any] | None = None) -> Desk:
    desk = Desk(query, session=session)
    desk.append()
    return desk


def by_hand() -> Desk:
    return listening(session=MANUAL)


def commit(desk: Desk, *, ended: bool = True) -> list[dict[str, Any]]:
    desk.append()
    desk.send("input_audio_buffer.commit", event_id="c")
    return desk.happen(CommitDone(ended))


def test_a_turn_is_told_in_order_under_one_id() -> None:
    desk = listening()
    told = desk.happen(SpeechStarted(1, 0, 1.0), partial(1, "hello"), SpeechEnded(1, 0, 3.0), final(1, "hello there"))
    assert kinds(told) == [
        "input_audio_buffer.speech_started",
        DELTA,
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        DELTA,
        COMPLETED,
    ]
    assert len({event.get("item_id") or event["item"]["id"] for event in told}) == 1
    assert (told[0]["audio_start_ms"], told[2]["audio_end_ms"]) == (700, 3000)
    assert told[4]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert [told[1]["delta"], told[6]["delta"]] == ["hello", " there"]
    assert told[7]["transcript"] == "hello there"
    assert (told[7]["usage"], told[7]["content_index"]) == ({"type": "duration", "seconds": 2.0}, 0)


def test_speech_that_begins_at_once_began_at_0() -> None:
    (told,) = listening().happen(SpeechStarted(1, 0, 0.1))
    assert told["audio_start_ms"] == 0


def test_deltas_only_ever_grow_and_the_final_corrects_them() -> None:
    desk = listening()
    told = desk.happen(
        SpeechStarted(1, 0, 1.0), partial(1, ""), partial(1, "one"), partial(1, "one"), partial(1, "one two", " free")
    )
    assert [event["delta"] for event in told if event["type"] == DELTA] == ["one", " two"]
    told = desk.happen(SpeechEnded(1, 0, 3.0), final(1, "won too three"))
    assert DELTA not in kinds(told)
    assert told[-1]["transcript"] == "won too three"


def test_noise_is_completed_with_nothing() -> None:
    desk = listening()
    told = desk.happen(SpeechStarted(1, 0, 1.0), SpeechEnded(1, 0, 3.0), final(1, ""))
    assert (told[-1]["type"], told[-1]["transcript"]) == (COMPLETED, "")


def test_turns_that_overlap_in_time_are_told_apart_and_ordered() -> None:
    desk = listening()
    told = desk.happen(SpeechStarted(1, 0, 1.0), SpeechEnded(1, 0, 3.0), SpeechStarted(2, 0, 4.0))
    first, second = told[0]["item_id"], told[-1]["item_id"]
    told = desk.happen(SpeechEnded(2, 0, 5.0), final(2, "two"), final(1, "one"))
    assert [(event["item_id"], event["transcript"]) for event in told if event["type"] == COMPLETED] == [
        (second, "two"),
        (first, "one"),
    ]
    assert told[1]["previous_item_id"] == first


def test_a_turn_without_text_after_all_retries_has_failed() -> None:
    desk = listening()
    told = desk.happen(SpeechStarted(1, 0, 1.0), SpeechEnded(1, 0, 3.0), Failed(1, 0, 1.0, 3.0, "decode_failed", "no"))
    assert told[-1]["type"] == FAILED
    assert told[-1]["error"] == {"type": "server_error", "code": "decode_failed", "message": "no"}


def test_a_commit_ends_a_turn_that_is_open_and_else_there_is_nothing_to_commit() -> None:
    desk = listening()
    assert error_of(commit(desk, ended=False)) == {
        "type": "invalid_request_error",
        "code": "input_audio_buffer_commit_empty",
        "message": "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio.",
        "event_id": "c",
    }
    desk.happen(SpeechStarted(1, 0, 1.0), SpeechEnded(1, 0, 3.0))
    assert commit(desk) == []
    assert len(desk.asked(AudioCommit)) == 2


def test_what_a_client_commits_is_one_item_however_often_it_was_cut() -> None:
    desk = by_hand()
    told = desk.happen(
        *(SpeechStarted(1, 0, 0.0), partial(1, "one"), SpeechEnded(1, 0, 28.0), SpeechStarted(2, 0, 28.0)),
        *(final(1, "one more"), partial(2, "two"), SpeechEnded(2, 0, 30.0)),
    )
    assert [(event["type"], event["delta"]) for event in told] == [(DELTA, "one"), (DELTA, " more"), (DELTA, " two")]
    assert kinds(commit(desk)) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    told = desk.happen(final(2, "two", start_s=3.0, end_s=4.0))
    assert (told[0]["transcript"], told[0]["usage"]["seconds"]) == ("one more two", 3.0)


def test_a_commit_after_all_its_text_is_completed_at_once() -> None:
    desk = by_hand()
    desk.happen(SpeechStarted(1, 0, 0.0), SpeechEnded(1, 0, 28.0), final(1, "one"))
    assert kinds(commit(desk, ended=False))[-1] == COMPLETED


def test_a_commit_of_too_little_is_refused_without_asking_the_session() -> None:
    desk = Desk(session=MANUAL)
    assert error_of(desk.send("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
    desk.append(bytes(4798))
    assert error_of(desk.send("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
    desk.append(bytes(4800))
    assert desk.send("input_audio_buffer.commit") == []
    assert len(desk.asked(AudioCommit)) == 1
    assert error_of(desk.happen(CommitDone(ended=False)))["code"] == "input_audio_buffer_commit_empty"


def configure(desk: Desk, detection: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What is told of turns that are found in another way from here on."""
    updated, *told = desk.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
    assert updated["type"] == "session.updated"
    return told


def test_who_speaks_while_turns_become_the_clients_is_heard_to_its_commit() -> None:
    desk = listening()
    (started,) = desk.happen(SpeechStarted(1, 0, 1.0))
    assert configure(desk, None) == []
    assert desk.happen(SpeechEnded(1, 0, 25.0, "max_length"), SpeechStarted(2, 0, 25.0), final(1, "one")) != []
    told = desk.happen(SpeechEnded(2, 0, 27.0, "commit")) + commit(desk) + desk.happen(final(2, "two"))
    assert [kind for kind in kinds(told) if kind != DELTA] == [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        COMPLETED,
    ]
    assert {event["item_id"] for event in told if "item_id" in event} == {started["item_id"]}
    assert (told[0]["audio_end_ms"], told[-1]["transcript"]) == (27_000, "one two")


def test_turns_that_ended_before_stay_as_they_are() -> None:
    desk = listening()
    desk.happen(SpeechStarted(1, 0, 1.0), SpeechEnded(1, 0, 3.0))
    assert configure(desk, None) == []
    assert kinds(desk.happen(final(1, "one")))[-1] == COMPLETED
    assert kinds(desk.happen(SpeechStarted(2, 0, 4.0))) == []


def test_what_was_not_committed_ends_by_itself_once_turns_are_found() -> None:
    desk = by_hand()
    desk.happen(SpeechStarted(1, 0, 1.0))
    assert configure(desk, {"type": "server_vad"}) == []
    assert desk.happen(SpeechCleared(1, 0)) == []
    (started,) = desk.happen(SpeechStarted(2, 0, 2.0))
    assert (started["type"], started["audio_start_ms"]) == ("input_audio_buffer.speech_started", 1700)
    assert configure(desk, {"type": "semantic_vad"}) == []
    told = desk.happen(SpeechEnded(2, 0, 3.0), final(2, "one"))
    assert kinds(told)[:2] == ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    assert told[-1] == {**told[-1], "type": COMPLETED, "item_id": started["item_id"], "transcript": "one"}
    assert kinds(desk.happen(SpeechStarted(3, 0, 4.0))) == ["input_audio_buffer.speech_started"]


def test_what_the_client_read_of_a_turn_that_is_heard_anew_goes_on_under_its_id() -> None:
    desk = by_hand()
    (delta,) = desk.happen(SpeechStarted(1, 0, 1.0), partial(1, "one"))
    configure(desk, {})
    told = desk.happen(SpeechCleared(1, 0), SpeechStarted(2, 0, 1.0), partial(2, "one two"), SpeechEnded(2, 0, 3.0))
    assert {event["item_id"] for event in told if "item_id" in event} == {delta["item_id"]}
    assert [event["delta"] for event in told if event["type"] == DELTA] == [" two"]
    assert desk.happen(final(2, "one two"))[-1]["transcript"] == "one two"


def test_what_was_cut_and_not_committed_is_a_turn_of_its_own_once_turns_are_found() -> None:
    desk = by_hand()
    desk.happen(SpeechStarted(1, 0, 1.0), SpeechEnded(1, 0, 25.0, "max_length"), SpeechStarted(2, 0, 25.0))
    assert kinds(configure(desk, {})) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert kinds(desk.happen(SpeechCleared(2, 0), final(1, "one")))[-1] == COMPLETED


def test_the_client_is_told_once_that_speech_began_however_often_it_changes_its_mind() -> None:
    desk = listening()
    desk.happen(SpeechStarted(1, 0, 1.0))
    for segment in (1, 2):
        assert [configure(desk, detection) for detection in (None, {"type": "server_vad"})] == [[], []]
        assert desk.happen(SpeechCleared(segment, 0)) == []
        assert [configure(desk, detection) for detection in (None, {"type": "server_vad"})] == [[], []]
        assert desk.happen(SpeechStarted(segment + 1, 0, 1.0)) == []
    assert kinds(desk.happen(SpeechEnded(3, 0, 3.0)))[0] == "input_audio_buffer.speech_stopped"


def test_what_is_taken_back_is_never_told_again() -> None:
    desk = listening()
    desk.happen(SpeechStarted(1, 0, 1.0), SpeechCleared(1, 0), partial(1, "late"))
    assert kinds(desk.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert desk.happen(partial(1, "late"), final(1, "late"), Failed(1, 0, 1.0, 2.0, "c", "m")) == []


def test_taking_back_takes_what_was_cut_too() -> None:
    desk = Desk(session=MANUAL)
    desk.append()
    desk.happen(SpeechStarted(1, 0, 0.0), SpeechEnded(1, 0, 28.0), final(1, "one"))
    desk.happen(SpeechStarted(2, 0, 28.0), SpeechCleared(2, 0))
    desk.send("input_audio_buffer.clear")
    assert desk.asked(ForgetTurns) == [ForgetTurns((TurnRef("segment", 1), TurnRef("segment", 2)))]
    assert desk.happen(final(1, "late")) == []
    desk.happen(SpeechStarted(3, 0, 30.0), SpeechEnded(3, 0, 31.0))
    commit(desk)
    assert desk.happen(final(3, "new"))[-1]["transcript"] == "new"


def test_nobody_is_told_of_text_that_nobody_wants_but_the_item_has_it() -> None:
    desk = listening("", {"audio": {"input": {"transcription": None}}})
    told = desk.happen(SpeechStarted(1, 0, 1.0), partial(1, "hello"), SpeechEnded(1, 0, 3.0), final(1, "hello"))
    assert DELTA not in kinds(told) and COMPLETED not in kinds(told)
    (retrieved,) = desk.send("conversation.item.retrieve", item_id=told[0]["item_id"])
    assert retrieved["item"]["content"] == [{"type": "input_audio", "transcript": "hello"}]


def give_audio(desk: Desk) -> None:
    content = [{"type": "input_text", "text": "listen"}, {"type": "input_audio", "audio": "AAAA"}]
    desk.send("conversation.item.create", item={"type": "message", "role": "user", "id": "a", "content": content})


def test_an_item_with_audio_has_what_was_heard_in_it() -> None:
    desk = listening()
    give_audio(desk)
    desk.happen(CommitDone(ended=False))
    told = desk.happen(SpeechStarted(1, 0, 0.0), partial(1, "he"), SpeechEnded(1, 0, 1.0), CommitDone(ended=True))
    assert [(event["type"], event["content_index"]) for event in told] == [(DELTA, 1)]
    (_, completed) = desk.happen(final(1, "hello"))
    assert (completed["item_id"], completed["content_index"], completed["transcript"]) == ("a", 1, "hello")


def test_an_item_in_which_nothing_was_heard_is_completed_too() -> None:
    desk = listening()
    give_audio(desk)
    (completed,) = desk.happen(CommitDone(ended=False), CommitDone(ended=False))
    assert (completed["item_id"], completed["transcript"]) == ("a", "")
