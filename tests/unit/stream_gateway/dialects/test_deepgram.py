import hashlib
import json

import msgspec
import pytest

from bus.contract.client_protocol import AudioCommit, AudioEnd, AudioFormat, SessionStart
from bus.contract.errors import (
    BadContainer,
    ClientTooSlow,
    Draining,
    HarkenError,
    IdleTimeout,
    InvalidMessage,
    NoWorker,
    SessionTooLong,
    UnsupportedAudio,
)
from stream_gateway.dialects.base import Audio, AudioConfigure, Awake, Reply
from stream_gateway.session import events
from tests.unit.stream_gateway.dialects.deepgram_client import RAW, SECOND, Client, place, spelled, spoken

# --- what a client says


def test_the_query_starts_the_session() -> None:
    client = Client()
    assert client.start == SessionStart(audio=AudioFormat(), language="en", partials=True)
    assert not client.dialect.starts_late
    assert client.dialect.idle_timeout_s == 10.0


def test_binary_frames_are_audio_and_an_empty_one_ends_it() -> None:
    dialect = Client().dialect
    assert list(dialect.on_binary(b"\1\2")) == [Audio(b"\1\2")]
    assert list(dialect.on_binary(b"")) == [AudioEnd()]


def test_control_messages_are_read_and_keep_the_session_awake() -> None:
    client = Client()
    assert client.says({"type": "KeepAlive"}) == [Awake()]
    assert client.says({"type": "Finalize", "channel": 0}) == [Awake(), AudioCommit()]
    assert client.says({"type": "CloseStream"}) == [AudioEnd()]


def test_keyterms_are_replaced_and_told_back() -> None:
    client = Client(f"{RAW}&keyterm=Seine&language=fr")
    assert isinstance(client.start, SessionStart)
    awake, configure, told = client.says({"type": "Configure", "keyterms": ["Marne", "Oise"]})
    assert awake == Awake()
    assert configure == AudioConfigure(msgspec.structs.replace(client.start, hotwords=("Marne", "Oise")))
    assert spelled([told]) == [{"type": "ConfigureSuccess", "request_id": "s1", "keyterms": ["Marne", "Oise"]}]
    _, configure, _ = client.says({"type": "Configure", "keyterms": []})
    assert configure == AudioConfigure(msgspec.structs.replace(client.start, hotwords=()))


def test_formatting_is_turned_on_and_off_from_where_the_client_says_so() -> None:
    client = Client()
    for features, text in (
        ({"punctuate": True}, "Hello."),
        ({"numerals": True}, "Hello."),
        ({"smart_format": False}, "hello"),
    ):
        *_, told = client.says({"type": "Configure", "features": features})
        assert spelled([told]) == [{"type": "ConfigureSuccess", "request_id": "s1"}]
        client.begins(1, 0.2)
        assert spoken(client.ends(1, "Hello.", 0.2, 0.7)[0]) == text


def test_more_keyterms_than_are_taken_change_nothing() -> None:
    for keyterms in (["x"] * 101, ["x" * 1001]):
        _, told = Client().says({"type": "Configure", "keyterms": keyterms})
        (failure,) = spelled([told])
        assert (failure["type"], failure["request_id"]) == ("ConfigureFailure", "s1")
        assert failure["code"] == "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"


@pytest.mark.parametrize("wrong", [{"keyterms": "x"}, {"keyterms": [5]}, {"features": {"punctuate": "yes"}}])
def test_a_change_that_is_none_is_sent_back_as_a_schema_error(wrong: dict[str, object]) -> None:
    _, reply = Client().says({"type": "Configure", **wrong})
    assert isinstance(reply, Reply)
    error = json.loads(reply.text)
    assert (error["type"], error["variant"]) == ("Error", "SchemaError")


@pytest.mark.parametrize("text", ["", "hello", "[]", '{"type": 5}', '{"type": "Start"}', '{"type":' + "[" * 100_000])
def test_any_other_text_is_sent_back_as_a_schema_error(text: str) -> None:
    awake, reply = Client().dialect.on_text(text)
    assert awake == Awake()
    assert isinstance(reply, Reply)
    error = json.loads(reply.text)
    assert (error["type"], error["variant"], error["message"]) == ("Error", "SchemaError", text[:1000])


def test_a_long_message_is_not_sent_back_in_full() -> None:
    _, reply = Client().dialect.on_text("x" * 1_000_000)
    assert isinstance(reply, Reply)
    assert len(reply.text) < 2_000


# --- what a client reads


def test_an_interim_is_the_whole_utterance_so_far_from_the_end_of_the_last_final() -> None:
    client = Client()
    assert client.begins(1, 0.5) == []
    (first,) = client.partial(1, "Hello wor", 0.5, 1.5)
    (second,) = client.partial(1, "Hello, world.", 0.5, 2.0)

    assert (spoken(first), place(first)) == ("hello wor", (0.0, 1.5))
    assert (spoken(second), place(second)) == ("hello world", (0.0, 2.0))
    assert not (first["is_final"] or first["speech_final"] or first["from_finalize"])
    assert first["metadata"] == {
        "request_id": "s1",
        "model_info": {"name": "base", "version": "1", "arch": "base"},
        "model_uuid": "base",
    }


def test_finals_tile_the_audio_with_the_silence_before_them() -> None:
    client = Client()
    client.begins(1, 0.5)
    (first,) = client.ends(1, "Hello, world!", 0.5, 1.4)
    client.begins(2, 3.0)
    (interim,) = client.partial(2, "Again", 3.0, 3.4)
    (second,) = client.ends(2, "Again", 3.0, 3.5)
    rest, metadata = client.see(events.Ended("audio_end", 5.0, 2))

    assert [place(one) for one in (first, second, rest)] == [(0.0, 1.5), (1.5, 2.0), (3.5, 1.5)]
    assert place(interim) == (1.5, 1.9)
    assert [one["is_final"] for one in (first, second, rest)] == [True] * 3
    assert [one["speech_final"] for one in (first, second, rest)] == [True, True, False]
    assert spoken(rest) == ""
    assert metadata["type"] == "Metadata"


def test_a_final_has_its_words_with_times_and_confidence() -> None:
    client = Client()
    client.begins(1, 0.5)
    (final,) = client.ends(1, "Hello, world! --", 0.5, 1.9)
    (alternative,) = final["channel"]["alternatives"]
    assert alternative == {
        "transcript": "hello world",
        "confidence": 0.8,
        "words": [
            {"word": "hello", "start": 0.5, "end": 1.0, "confidence": 0.8},
            {"word": "world", "start": 1.0, "end": 1.5, "confidence": 0.8},
        ],
    }


def test_punctuation_is_shown_to_who_asks_for_it() -> None:
    client = Client(f"{RAW}&punctuate=true")
    client.begins(1, 0.5)
    (final,) = client.ends(1, "Hello, world!", 0.5, 1.9)
    (alternative,) = final["channel"]["alternatives"]
    assert alternative["transcript"] == "Hello, world!"
    assert [word["punctuated_word"] for word in alternative["words"]] == ["Hello,", "world!"]


def test_the_language_is_told_where_it_is_detected() -> None:
    client = Client(f"{RAW}&language=multi")
    client.begins(1, 0.5)
    (final,) = client.ends(1, "hello", 0.5, 1.9)
    (empty,) = client.see(events.Flushed(32_000))
    assert final["channel"]["alternatives"][0]["languages"] == ["en"]
    assert "languages" not in empty["channel"]["alternatives"][0]


def test_interims_of_a_later_utterance_wait_for_the_final_of_the_one_before() -> None:
    client = Client()
    client.begins(1, 0.5)
    client.see(events.SpeechEnded(1, 0, 1.5))
    client.begins(2, 1.6)
    assert client.partial(2, "again", 1.6, 2.0) == []
    client.ends(1, "hello", 0.5, 1.5)
    (interim,) = client.partial(2, "again", 1.6, 2.2)
    assert place(interim) == (1.5, 0.7)


def test_no_word_begins_before_its_result() -> None:
    client = Client()
    (empty,) = client.see(events.Flushed(16_000))
    client.begins(1, 1.1)
    (final,) = client.ends(1, "hello you", 0.4, 1.6)
    assert place(empty) == (0.0, 1.0)
    starts = [(word["start"], word["end"]) for word in final["channel"]["alternatives"][0]["words"]]
    assert starts == [(1.0, 1.0), (1.0, 1.4)]


def test_a_cut_for_length_is_no_end_of_speech() -> None:
    client = Client()
    client.begins(1, 0.5)
    (final,) = client.ends(1, "hello", 0.5, 25.0, reason="max_length")
    assert final["is_final"] and not final["speech_final"]


def test_without_endpointing_no_end_of_speech_is_told() -> None:
    client = Client(f"{RAW}&endpointing=false")
    client.begins(1, 0.5)
    (final,) = client.ends(1, "hello", 0.5, 25.0)
    assert final["is_final"] and not final["speech_final"]


def test_a_segment_without_text_is_an_empty_final() -> None:
    client = Client()
    client.begins(1, 0.5)
    client.see(events.SpeechEnded(1, 0, 1.5))
    (final,) = client.see(events.Failed(1, 0, 0.5, 1.5, "decode_failed", "no result"))
    assert (spoken(final), place(final), final["is_final"]) == ("", (0.0, 1.5), True)
    assert final["channel"]["alternatives"][0] == {"transcript": "", "confidence": 0.0, "words": []}


def test_channels_are_told_apart() -> None:
    client = Client(f"{RAW}&channels=2&multichannel=true", channels=2)
    client.begins(1, 0.5, channel=1)
    (final,) = client.ends(1, "hello", 0.5, 1.5, channel=1)
    left, right, metadata = client.see(events.Ended("audio_end", 2.0, 1))
    assert (final["channel_index"], place(final)) == ([1, 2], (0.0, 1.5))
    assert [(one["channel_index"], place(one)) for one in (left, right)] == [([0, 2], (0.0, 2.0)), ([1, 2], (1.5, 0.5))]
    assert metadata["channels"] == 2


# --- Finalize


def test_a_finalize_that_ends_an_utterance_is_answered_by_its_final() -> None:
    client = Client()
    client.begins(1, 0.5)
    (final,) = client.ends(1, "hello", 0.5, 1.5, reason="commit")
    assert final["from_finalize"] and final["is_final"]
    assert client.see(events.Flushed(25_600)) == []


def test_a_finalize_with_nothing_open_is_answered_by_an_empty_final_up_to_it() -> None:
    client = Client()
    client.begins(1, 0.5)
    (final,) = client.ends(1, "hello", 0.5, 1.5)
    (first,) = client.see(events.Flushed(32_000))
    (second,) = client.see(events.Flushed(32_000))
    assert not final["from_finalize"]
    assert [(spoken(one), place(one)) for one in (first, second)] == [("", (1.5, 0.5)), ("", (2.0, 0.0))]
    assert all(one["from_finalize"] and one["is_final"] for one in (first, second))


# --- what happens in silence


def test_speech_is_announced_to_who_asks_for_it() -> None:
    assert Client(f"{RAW}&vad_events=true").begins(1, 0.5678) == [
        {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.568}
    ]


def test_the_end_of_an_utterance_is_told_once_by_the_audio_that_passes() -> None:
    client = Client(f"{RAW}&utterance_end_ms=1000")
    assert client.hears() == []
    client.begins(1, 0.2)
    client.ends(1, "hello", 0.2, 0.7)
    assert client.hears() == []  # of which the first second was heard
    assert client.hears() == [{"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.7}]
    assert client.hears() == []


def test_the_end_of_an_utterance_is_told_right_after_its_final_where_the_silence_has_passed() -> None:
    client = Client(f"{RAW}&utterance_end_ms=1000")
    client.begins(1, 0.2)
    client.see(events.SpeechEnded(1, 0, 0.7, "silence"))
    for _ in range(4):
        client.hears()
    final, end = client.ends(1, "hello", 0.2, 0.7)
    assert (final["type"], end["type"]) == ("Results", "UtteranceEnd")


def test_who_speaks_again_soon_goes_on_with_the_utterance() -> None:
    client = Client(f"{RAW}&utterance_end_ms=1000")
    client.begins(1, 0.2)
    client.see(events.SpeechEnded(1, 0, 0.7))
    assert client.begins(2, 1.4) == []
    for _ in range(4):
        client.hears()
    assert [one["type"] for one in client.ends(1, "hello", 0.2, 0.7)] == ["Results"]
    assert [one["type"] for one in client.ends(2, "you", 1.4, 1.9)] == ["Results", "UtteranceEnd"]


def test_a_slow_reader_is_told_no_end_of_an_utterance_that_went_on() -> None:
    client = Client(f"{RAW}&utterance_end_ms=1000&vad_events=true")
    client.begins(1, 0.2)
    client.ends(1, "hello", 0.2, 0.7)
    client.hears()
    client.hears()
    read = client.dialect.on_binary(SECOND)  # while that somebody spoke at 1.4 waits to be written
    assert [one["type"] for one in client.begins(2, 1.4)] == ["SpeechStarted"]
    assert spelled(read) == []
    assert [one["type"] for one in client.ends(2, "you", 1.4, 1.9)] == ["Results"]
    assert [one["type"] for one in client.hears()] == ["UtteranceEnd"]


def test_a_final_that_waits_for_a_slow_reader_ends_nothing_by_audio_that_came_since() -> None:
    client = Client(f"{RAW}&utterance_end_ms=1000")
    client.begins(1, 0.2)
    client.see(events.SpeechEnded(1, 0, 0.7, "silence"))
    read = [client.dialect.on_binary(SECOND) for _ in range(4)]
    assert [one["type"] for one in client.ends(1, "hello", 0.2, 0.7)] == ["Results"]
    assert client.begins(2, 1.4) == []
    assert [spelled(actions) for actions in read] == [[], [], [], []]


def test_of_words_about_silence_one_waits_for_a_slow_reader() -> None:
    client = Client(f"{RAW}&utterance_end_ms=1000")
    client.begins(1, 0.2)
    client.ends(1, "hello", 0.2, 0.7)
    read = [action for _ in range(400) for action in client.dialect.on_binary(bytes(640))]
    assert len(read) == 401
    assert spelled(read) == []  # nothing was heard before the first
    assert [one["type"] for one in client.hears()] == ["UtteranceEnd"]


def test_speech_after_a_long_silence_ends_the_utterance_before_it() -> None:
    client = Client(f"{RAW}&utterance_end_ms=1000&vad_events=true")
    client.begins(1, 0.2)
    client.ends(1, "hello", 0.2, 0.7)
    assert [one["type"] for one in client.begins(2, 1.8)] == ["UtteranceEnd", "SpeechStarted"]


def test_in_a_container_settled_audio_tells_the_time() -> None:
    client = Client("utterance_end_ms=1000")
    client.begins(1, 0.2)
    client.ends(1, "hello", 0.2, 0.7)
    assert client.hears() == []
    assert client.see(events.Committed(16_000)) == []
    assert [one["type"] for one in client.see(events.Committed(32_000))] == ["UtteranceEnd"]


def test_the_end_of_the_audio_ends_an_utterance_too() -> None:
    client = Client(f"{RAW}&utterance_end_ms=1000")
    client.begins(1, 0.2)
    client.ends(1, "hello", 0.2, 0.7)
    assert [one["type"] for one in client.see(events.Ended("audio_end", 2.0, 1))] == [
        "Results",
        "UtteranceEnd",
        "Metadata",
    ]


# --- ends


def test_the_last_message_sums_the_session_up() -> None:
    client = Client()
    client.hears(SECOND)
    *_, metadata = client.see(events.Ended("audio_end", 1.0, 0))
    assert metadata == {
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": "s1",
        "sha256": hashlib.sha256(SECOND).hexdigest(),
        "created": "2026-01-02T03:04:05.678Z",
        "duration": 1.0,
        "channels": 1,
    }


def test_pauses_drains_and_chats_have_no_spelling() -> None:
    client = Client()
    assert client.see(events.Fault(NoWorker("no worker is alive"), fatal=False)) == []
    assert client.see(events.DrainNotice(5.0)) == []
    assert client.see(events.ChatStarted(1, "smollm2")) == []
    assert client.see(events.TurnStored(turn=1, source="speech", segment=1)) == []


def test_a_fault_is_told_before_the_close_unless_the_close_says_it_all() -> None:
    client = Client()
    (error,) = client.see(events.Fault(BadContainer("no file"), fatal=True))
    assert error == {"type": "Error", "variant": "bad_container", "description": "no file"}
    assert client.see(events.Fault(IdleTimeout("nothing came"), fatal=True)) == []
    assert client.see(events.Fault(Draining("going away"), fatal=True)) == []


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (IdleTimeout, 1011, "NET-0001"),
        (BadContainer, 1008, "DATA-0000"),
        (UnsupportedAudio, 1008, "unsupported_audio"),
        (InvalidMessage, 1008, "invalid_message"),
        (SessionTooLong, 1011, "session_too_long"),
        (ClientTooSlow, 1011, "client_too_slow"),
        (Draining, 1012, "draining"),
        (NoWorker, 1013, "no_worker"),
    ],
)
def test_closes_are_spelled_as_deepgram_does(error: type[HarkenError], code: int, reason: str) -> None:
    spelled = Client().dialect.close(error.close_code, error.code)
    assert spelled[0] == code
    assert spelled[1].startswith(reason)


def test_a_stream_that_is_done_closes_normally() -> None:
    assert Client().dialect.close(1000, "audio_end") == (1000, "audio_end")
