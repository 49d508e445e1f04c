import json
from typing import Any

import pytest

from bus.contract.client_protocol import AudioEnd, AudioFormat, Limits, SessionStart, StageTimes
from bus.contract.errors import (
    AudioBeforeStart,
    BadContainer,
    BusUnavailable,
    Draining,
    HarkenError,
    IdleTimeout,
    InternalError,
    InvalidMessage,
    NoWorker,
    Overloaded,
    SessionTooLong,
    UnsupportedAudio,
)
from bus.contract.work import Word
from stream_gateway.dialects.base import Audio, Handshake
from stream_gateway.dialects.whisper_live import WhisperLiveDialect
from stream_gateway.dialects.whisper_live_messages import told_to_wait
from stream_gateway.session import events

LIMITS = Limits(max_frame_bytes=1_000_000, max_session_s=60.0, idle_timeout_s=10.0, max_buffered_audio_s=30.0)
TIMES = StageTimes(
    endpoint_s=0.1, queue_s=0.2, batch_wait_s=0.3, encode_s=0.4, decode_s=0.5, publish_s=0.6, total_s=0.7
)


class Client:
    def __init__(self, **hello: Any) -> None:
        self.dialect = WhisperLiveDialect(Handshake(path="/", limits=LIMITS))
        assert list(self.dialect.on_open()) == []
        (self.start,) = self.dialect.on_text(json.dumps({"uid": "u1", "language": "en", **hello}))

    def see(self, event: events.SessionEvent) -> list[dict[str, Any]]:
        messages = [json.loads(text) for text in self.dialect.render(event)]
        assert all(message["uid"] == "u1" for message in messages)
        return messages

    def is_ready(self) -> "Client":
        assert self.see(events.Started("s1", "base", 1)) == [
            {"uid": "u1", "message": "SERVER_READY", "backend": "faster_whisper"}
        ]
        return self

    def begins(self, segment: int, start_s: float = 0.0) -> None:
        assert self.see(events.SpeechStarted(segment, 0, start_s)) == []

    def partial(self, segment: int, text: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        return self.see(events.Partial(segment, 0, start_s, end_s, "", text, "en", 0.1, (), 0.75))

    def final(self, segment: int, text: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        words = (Word(text, start_s, end_s, 0.9),)
        return self.see(events.Final(segment, 0, start_s, end_s, text, words, "en", "base", TIMES, 0.75))


def a_segment(text: str, start: str, end: str, *, completed: bool) -> dict[str, object]:
    return {"start": start, "end": end, "text": text, "completed": completed}


def segments(messages: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    (message,) = messages
    return [(one["text"], one["completed"]) for one in message["segments"]]


# --- the handshake


def test_a_uid_is_all_that_a_handshake_needs() -> None:
    dialect = WhisperLiveDialect(Handshake(path="/", limits=LIMITS))
    assert list(dialect.on_text('{"uid": 7}')) == [SessionStart(audio=AudioFormat(encoding="float32"))]


def test_a_handshake_is_read_in_our_terms_and_what_is_unknown_or_strange_is_passed_over() -> None:
    client = Client(
        language="de-DE",
        task="translate",
        model="small",
        hotwords="alpha, beta",
        initial_prompt=" A prompt. ",
        audio_format="int16",
        send_last_n_segments="many",
        use_vad=False,
        known_speakers=[{}],
        vad_parameters={"onset": 1},
    )
    assert client.start == SessionStart(
        audio=AudioFormat(encoding="linear16"),
        language="de",
        task="translate",
        hotwords=("alpha", "beta"),
        prompt="A prompt.",
    )


@pytest.mark.parametrize(
    ("hello", "hotwords"),
    [({"hotwords": None}, ()), ({"hotwords": ["a", 5, " b "]}, ("a", "b")), ({"hotwords": "a b"}, ("a b",))],
)
def test_hotwords_come_as_a_text_or_a_list(hello: dict[str, object], hotwords: tuple[str, ...]) -> None:
    assert isinstance(start := Client(**hello).start, SessionStart)
    assert start.hotwords == hotwords


@pytest.mark.parametrize(("model", "language"), [("small.en", "en"), ("small", None), (None, None)])
def test_a_model_for_english_only_needs_no_language(model: str | None, language: str | None) -> None:
    assert isinstance(start := Client(language=None, model=model).start, SessionStart)
    assert start.language == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "hello",
        '{"uid": null}',
        '{"uid": ["u"]}',
        '{"uid": "%s"}' % ("u" * 201),
        '{"uid": ' + "[" * 100_000,
    ],
)
def test_a_first_frame_without_a_uid_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage, match="uid"):
        WhisperLiveDialect(Handshake(path="/", limits=LIMITS)).on_text(text)


def test_an_audio_format_that_is_unknown_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedAudio, match="float32, int16, uint8"):
        Client(audio_format="opus")


def test_audio_before_the_handshake_is_refused() -> None:
    dialect = WhisperLiveDialect(Handshake(path="/", limits=LIMITS))
    assert dialect.idle_timeout_s is None and not dialect.starts_late
    with pytest.raises(AudioBeforeStart, match="uid"):
        dialect.on_binary(b"\0\0\0\0")


# --- audio


def test_audio_passes_and_its_end_is_told_from_three_samples() -> None:
    dialect = Client().dialect
    assert list(dialect.on_binary(b"123456789012")) == [Audio(b"123456789012")]
    assert list(dialect.on_binary(b"END_OF_AUDIO")) == [AudioEnd()]
    assert list(dialect.on_text("END_OF_AUDIO")) == [AudioEnd()]
    with pytest.raises(InvalidMessage, match="END_OF_AUDIO"):
        dialect.on_text('{"uid": "u1"}')


def test_samples_of_8_bits_are_widened() -> None:
    dialect = Client(audio_format="uint8").dialect
    (audio,) = dialect.on_binary(bytes([0, 128, 255]))
    assert audio == Audio((-32768).to_bytes(2, "little", signed=True) + b"\0\0" + (127 << 8).to_bytes(2, "little"))


# --- text


def test_what_is_final_stays_and_what_runs_comes_last() -> None:
    client = Client().is_ready()
    client.begins(1)
    assert client.partial(1, "hello", 0.5, 1.0) == [
        {"uid": "u1", "segments": [a_segment(" hello", "0.500", "1.000", completed=False)]}
    ]
    assert client.final(1, "hello you", 0.5, 1.25) == [
        {"uid": "u1", "segments": [a_segment(" hello you", "0.500", "1.250", completed=True)]}
    ]
    client.begins(2)
    assert segments(client.partial(2, "again", 2.0, 2.5)) == [(" hello you", True), (" again", False)]


def test_history_is_as_long_as_the_client_asks() -> None:
    client = Client(send_last_n_segments=2).is_ready()
    for number in range(1, 5):
        client.begins(number)
        messages = client.final(number, f"w{number}", float(number), number + 0.5)
    assert segments(messages) == [(" w3", True), (" w4", True)]


@pytest.mark.parametrize(("asked", "kept"), [(0, 10), (True, 10), (-1, 10), (5000, 100)])
def test_history_is_bounded(asked: object, kept: int) -> None:
    client = Client(send_last_n_segments=asked)
    for number in range(1, 120):
        client.begins(number)
        messages = client.final(number, "word", float(number), number + 0.5)
    assert len(segments(messages)) == kept


def test_an_empty_list_is_never_sent() -> None:
    client = Client().is_ready()
    client.begins(1)
    assert client.final(1, "", 0.5, 1.0) == []
    client.begins(2)
    client.final(2, "hello", 1.5, 2.0)
    client.begins(3)
    client.partial(3, "what", 2.5, 3.0)
    assert segments(client.final(3, "", 2.5, 3.0)) == [(" hello", True)]


def test_a_later_utterance_is_shown_once_the_one_before_is_final() -> None:
    client = Client().is_ready()
    client.begins(1)
    client.begins(2)
    assert client.partial(2, "a", 1.4, 1.8) == []
    assert segments(client.partial(1, "hell", 0.5, 1.5)) == [(" hell", False)]
    assert client.partial(2, "again", 1.4, 2.0) == []
    assert segments(client.final(1, "hello", 0.5, 1.5)) == [(" hello", True), (" again", False)]


def test_no_segment_begins_before_the_end_of_the_one_before() -> None:
    client = Client().is_ready()
    client.begins(1)
    client.final(1, "hello", 0.5, 1.5)
    client.begins(2)
    (message,) = client.final(2, "you", 1.4, 1.45)
    assert message["segments"][-1] == a_segment(" you", "1.500", "1.500", completed=True)


def test_words_are_for_who_asks() -> None:
    client = Client(word_timestamps=True).is_ready()
    client.begins(1)
    (message,) = client.final(1, "hello", 0.5, 1.5)
    assert message["segments"][0]["words"] == [{"word": " hello", "start": "0.500", "end": "1.500", "probability": 0.9}]


def test_a_detected_language_is_told_once() -> None:
    client = Client(language=None).is_ready()
    client.begins(1)
    language, text = client.partial(1, "hello", 0.5, 1.0)
    assert language == {"uid": "u1", "language": "en", "language_prob": 0.75}
    assert len(client.final(1, "hello", 0.5, 1.0)) == 1


def test_noise_has_no_language() -> None:
    client = Client(language=None).is_ready()
    client.begins(1)
    assert client.see(events.Final(1, 0, 0.5, 1.0, "", (), None, "base", TIMES)) == []


def test_a_segment_without_text_is_a_warning() -> None:
    client = Client().is_ready()
    client.begins(1)
    assert client.see(events.Failed(1, 0, 0.5, 1.5, "decode_failed", "no result")) == [
        {"uid": "u1", "status": "WARNING", "message": "no result"}
    ]


# --- ends and troubles


def test_the_end_is_a_disconnect() -> None:
    client = Client().is_ready()
    assert client.see(events.Ended("audio_end", 2.0, 1)) == [{"uid": "u1", "message": "DISCONNECT"}]
    assert client.dialect.close(1000, "audio_end") == (1000, "audio_end")


@pytest.mark.parametrize("error", [NoWorker, BusUnavailable, Overloaded, Draining])
def test_who_cannot_be_served_at_the_moment_waits(error: type[HarkenError]) -> None:
    assert Client().see(events.Fault(error("not now"), fatal=True)) == [{"uid": "u1", "status": "WAIT", "message": 1.0}]


def test_faults_are_errors_if_they_end_a_client_for_good_and_warnings_if_not() -> None:
    def status(client: Client, error: HarkenError, *, fatal: bool) -> object:
        (message,) = client.see(events.Fault(error, fatal=fatal))
        assert message["message"] == error.message
        return message["status"]

    assert status(Client(), InternalError("ours"), fatal=True) == "ERROR"
    client = Client().is_ready()
    assert status(client, BadContainer("bad"), fatal=True) == "ERROR"
    assert status(client, NoWorker("audio is kept"), fatal=False) == "WARNING"
    assert status(client, Draining("connect again"), fatal=True) == "WARNING"


def test_a_fault_before_the_handshake_has_no_uid() -> None:
    dialect = WhisperLiveDialect(Handshake(path="/", limits=LIMITS))
    (text,) = dialect.render(events.Fault(InvalidMessage("bad"), fatal=True))
    assert json.loads(text) == {"uid": None, "status": "ERROR", "message": "bad"}


@pytest.mark.parametrize("error", [IdleTimeout, SessionTooLong])
def test_a_session_whose_time_is_up_is_over(error: type[HarkenError]) -> None:
    assert Client().dialect.close(error.close_code, error.code)[0] == 1000


def test_other_closes_keep_their_codes() -> None:
    assert Client().dialect.close(1012, "draining") == (1012, "draining")


def test_audio_that_is_stored_and_speech_that_ends_have_no_spelling() -> None:
    client = Client().is_ready()
    client.begins(1)
    assert client.see(events.SpeechEnded(1, 0, 1.0)) == []
    assert client.see(events.Committed(16_000)) == []
    assert client.see(events.DrainNotice(5.0)) == []
    assert client.see(events.TurnStored(turn=1, source="speech", segment=1)) == []


@pytest.mark.parametrize(("wait_s", "minutes"), [(0, 0.1), (5, 0.1), (60, 1.0), (130, 2.2)])
def test_who_comes_when_there_is_no_room_is_told_to_wait(wait_s: float, minutes: float) -> None:
    assert json.loads(told_to_wait('{"uid": "u1"}', wait_s)) == {"uid": "u1", "status": "WAIT", "message": minutes}
    with pytest.raises(InvalidMessage):
        told_to_wait("END_OF_AUDIO", wait_s)
