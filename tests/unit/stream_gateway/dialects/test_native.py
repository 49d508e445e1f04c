import json

import pytest

from bus.contract import client_protocol
from bus.contract.client_protocol import (
    AudioCommit,
    AudioEnd,
    AudioFormat,
    Limits,
    ResumeGrant,
    SessionResume,
    SessionStart,
    StageTimes,
    decode_event,
)
from bus.contract.errors import HarkenError, IdleTimeout, InvalidMessage, NoWorker, UnknownMessageType
from bus.contract.work import Word
from stream_gateway.dialects.base import Audio, Handshake
from stream_gateway.dialects.native import NativeDialect
from stream_gateway.session import events

LIMITS = Limits(max_frame_bytes=1_000_000, max_session_s=60.0, idle_timeout_s=10.0, max_buffered_audio_s=30.0)
TIMES = StageTimes(
    endpoint_s=0.1, queue_s=0.2, batch_wait_s=0.3, encode_s=0.4, decode_s=0.5, publish_s=0.6, total_s=0.7
)


def a_dialect() -> NativeDialect:
    return NativeDialect(Handshake(path="/v1/stream", limits=LIMITS))


def rendered(event: events.SessionEvent, dialect: NativeDialect | None = None) -> dict[str, object]:
    """The one frame of `event`, checked to be readable by any client of the protocol."""
    (text,) = (dialect or a_dialect()).render(event)
    decode_event(text)
    fields: dict[str, object] = json.loads(text)
    return fields


def test_a_session_start_is_read_with_its_defaults() -> None:
    assert list(a_dialect().on_text('{"type": "session.start"}')) == [SessionStart()]


def test_a_session_start_is_read_with_its_wishes_and_unknown_fields_are_ignored() -> None:
    text = '{"type": "session.start", "language": "de", "audio": {"encoding": "mulaw", "colour": 1}, "new": []}'
    assert list(a_dialect().on_text(text)) == [SessionStart(language="de", audio=AudioFormat(encoding="mulaw"))]


def test_an_audio_commit_is_read() -> None:
    assert list(a_dialect().on_text('{"type": "audio.commit"}')) == [AudioCommit()]


def test_an_audio_end_is_read() -> None:
    assert list(a_dialect().on_text('{"type": "audio.end"}')) == [AudioEnd()]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "[]",
        "{}",
        '{"type": 5}',
        '{"type": "session.start", "audio": 5}',
        '{"type": "session.start", "task": "summarise"}',
        '{"type": "session.start", "vad": {"threshold": 1e999}}',
        '{"type": "audio.end", "deep": ' + "[" * 100_000,
    ],
)
def test_a_frame_that_is_not_a_valid_message_is_named_as_such(text: str) -> None:
    with pytest.raises(InvalidMessage):
        a_dialect().on_text(text)


def test_an_invalid_field_is_named_by_its_path() -> None:
    with pytest.raises(InvalidMessage, match=r"session\.start: .*audio\.sample_rate"):
        a_dialect().on_text('{"type": "session.start", "audio": {"sample_rate": "high"}}')


def test_an_unknown_type_is_told_what_exists_even_if_its_fields_are_strange() -> None:
    with pytest.raises(UnknownMessageType, match=r"session\.start, session\.resume, audio\.commit, .* and chat\.reset"):
        a_dialect().on_text('{"type": "session.begin", "audio": 5}')


def test_events_are_numbered_without_gaps_from_one() -> None:
    dialect = a_dialect()
    numbers = [rendered(events.Committed(sample), dialect)["seq"] for sample in (1, 2, 3)]
    assert numbers == [1, 2, 3]


def test_the_start_tells_limits_model_and_the_rate_in_which_offsets_count() -> None:
    dialect = a_dialect()
    dialect.offset_rate_hz = 8000

    assert rendered(events.Started("s1", "base", 2, "smollm2"), dialect) == {
        "type": "session.started",
        "seq": 1,
        "session": "s1",
        "audio_offset": 0,
        "sample_rate": 8000,
        "channels": 2,
        "model": "base",
        "chat_model": "smollm2",
        "resume": None,
        "limits": json.loads(json.dumps({name: getattr(LIMITS, name) for name in LIMITS.__struct_fields__})),
    }


def test_speech_events_carry_segment_channel_and_time() -> None:
    assert rendered(events.SpeechStarted(3, 1, 1.25)) == {
        "type": "speech.started",
        "seq": 1,
        "segment": 3,
        "channel": 1,
        "start_s": 1.25,
    }
    assert rendered(events.SpeechEnded(3, 1, 2.5))["end_s"] == 2.5


def test_a_partial_shows_stable_and_running_text_but_not_our_lag() -> None:
    assert rendered(events.Partial(1, 0, 0.1, 1.1, "hello", "hello wor", "en", 0.7)) == {
        "type": "transcript.partial",
        "seq": 1,
        "segment": 1,
        "channel": 0,
        "start_s": 0.1,
        "end_s": 1.1,
        "stable": "hello",
        "text": "hello wor",
        "language": "en",
    }


def test_a_final_carries_words_language_model_and_stage_times() -> None:
    word = Word("hello", 0.1, 0.5, 0.9)

    final = rendered(events.Final(1, 0, 0.1, 1.1, "hello", (word,), "en", "base", TIMES))

    assert final["text"] == "hello"
    assert final["words"] == [{"text": "hello", "start_s": 0.1, "end_s": 0.5, "probability": 0.9}]
    assert (final["language"], final["model"]) == ("en", "base")
    assert final["times"] == {name: getattr(TIMES, name) for name in TIMES.__struct_fields__}


def test_a_failed_segment_says_why() -> None:
    failed = rendered(events.Failed(2, 0, 0.1, 1.1, "decode_failed", "no result after 4 attempts"))
    assert (failed["code"], failed["message"]) == ("decode_failed", "no result after 4 attempts")


def test_times_are_shown_to_the_millisecond() -> None:
    assert rendered(events.SpeechStarted(1, 0, 1.23456))["start_s"] == 1.235


@pytest.mark.parametrize(("rate_hz", "offset"), [(16_000, 16_001), (8_000, 8_000), (44_100, 44_102), (48_000, 48_003)])
def test_commits_are_counted_in_the_client_rate_and_never_rounded_up(rate_hz: int, offset: int) -> None:
    dialect = a_dialect()
    dialect.offset_rate_hz = rate_hz
    assert rendered(events.Committed(16_001), dialect)["offset"] == offset


@pytest.mark.parametrize(
    ("error", "retryable"), [(NoWorker("none"), True), (InvalidMessage("bad"), False), (IdleTimeout("late"), True)]
)
def test_a_fault_shows_code_message_and_whether_to_retry(error: HarkenError, retryable: bool) -> None:
    assert rendered(events.Fault(error, fatal=True)) == {
        "type": "error",
        "seq": 1,
        "code": error.code,
        "message": error.message,
        "retryable": retryable,
        "fatal": True,
    }


def test_a_drain_notice_says_how_long_is_left() -> None:
    assert rendered(events.DrainNotice(30.0)) == {"type": "session.draining", "seq": 1, "within_s": 30.0}


def test_the_end_says_why_and_how_much_there_was() -> None:
    assert rendered(events.Ended("audio_end", 12.34567, 4)) == {
        "type": "session.ended",
        "seq": 1,
        "reason": "audio_end",
        "audio_s": 12.346,
        "segments": 4,
    }


def test_a_conversation_is_spelled_as_the_protocol_has_it() -> None:
    dialect = a_dialect()
    usage = client_protocol.ChatUsage(prompt_tokens=11, completion_tokens=5, cached_tokens=4)
    times = client_protocol.ChatTimes(queue_s=0.5, prefill_s=0.25, first_delta_s=1.0, total_s=3.0)
    done = events.ChatDone(answer=1, text="hi", finish_reason="stop", usage=usage, times=times, model="m")
    told: list[events.SessionEvent] = [
        events.TurnStored(turn=1, source="typed", id="c1"),
        events.ChatStarted(1, "m", "c1"),
        events.ChatDelta(1, "hi"),
        done,
        events.ChatCancelled(2, "he", "speech"),
        events.ChatFailed(3, "h", NoWorker("no LLM worker is connected")),
    ]

    spelled = [rendered(event, dialect) for event in told]

    assert [event["type"] for event in spelled] == [
        "chat.turn",
        "chat.started",
        "chat.delta",
        "chat.done",
        "chat.cancelled",
        "chat.failed",
    ]
    assert [event["seq"] for event in spelled] == [1, 2, 3, 4, 5, 6]
    assert (spelled[0]["turn"], spelled[0]["source"], spelled[0]["id"], spelled[1]["id"]) == (1, "typed", "c1", "c1")
    assert spelled[3]["usage"] == {"prompt_tokens": 11, "completion_tokens": 5, "cached_tokens": 4}
    assert spelled[5] | {"seq": 0} == {
        "type": "chat.failed",
        "seq": 0,
        "answer": 3,
        "text": "h",
        "code": "no_worker",
        "message": "no LLM worker is connected",
        "retryable": True,
    }


def test_binary_frames_are_audio_and_nothing_follows_from_the_upgrade_alone() -> None:
    dialect = a_dialect()
    assert (list(dialect.on_open()), list(dialect.on_binary(b"ab"))) == ([], [Audio(b"ab")])
    assert dialect.close(4404, "unknown_model") == (4404, "unknown_model")


@pytest.mark.parametrize(
    "event", [events.SpeechCleared(1, 0), events.CommitDone(ended=True), events.AnswerWanted("k", accepted=True)]
)
def test_what_this_protocol_cannot_ask_for_is_not_told_and_not_counted(event: events.SessionEvent) -> None:
    dialect = a_dialect()
    assert dialect.render(event) == ()
    assert rendered(events.DrainNotice(1.0), dialect)["seq"] == 1


RESUME = '{"type": "session.resume", "session": "s1", "token": "t", "seq": 41}'
GRANT = ResumeGrant(token="t", within_s=60.0)


def test_the_numbers_of_events_go_on_where_a_client_that_resumes_has_them() -> None:
    dialect = a_dialect()
    assert list(dialect.on_text(RESUME)) == [SessionResume(session="s1", token="t", seq=41)]
    assert rendered(events.Committed(1), dialect)["seq"] == 42


def test_a_resume_in_mid_session_changes_no_number() -> None:
    dialect = a_dialect()
    dialect.on_text('{"type": "session.start"}')
    dialect.on_text(RESUME)
    assert rendered(events.Committed(1), dialect)["seq"] == 1


def test_a_socket_that_is_for_a_resume_begins_with_one() -> None:
    def dialect() -> NativeDialect:
        return NativeDialect(Handshake(path="/v1/stream", query={"resume": ["1"]}, limits=LIMITS))

    with pytest.raises(InvalidMessage, match=r"begins with session\.resume"):
        dialect().on_text('{"type": "session.start"}')
    assert dialect().on_text(RESUME)


def test_a_session_that_can_be_resumed_says_how() -> None:
    started = rendered(events.Started("s1", "base", 1, None, GRANT))
    assert started["resume"] == {"token": "t", "within_s": 60.0}


def test_a_resumed_session_says_from_where_on_audio_is_wanted() -> None:
    resumed = rendered(events.Resumed("s1", "base", 1, None, GRANT, 4_410))
    assert (resumed["type"], resumed["audio_offset"], resumed["session"]) == ("session.resumed", 4_410, "s1")


def test_what_holds_other_events_is_told_event_by_event() -> None:
    with pytest.raises(AssertionError):
        a_dialect().render(events.Missed((events.Committed(1),)))


def test_a_token_is_not_in_what_is_logged_of_an_event() -> None:
    assert "token" not in repr(events.Started("s1", "base", 1, None, GRANT))
