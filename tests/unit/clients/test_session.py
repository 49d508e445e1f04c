import msgspec
import pytest

from bus.contract.client_protocol import (
    AudioCommit,
    AudioEnd,
    AudioFormat,
    ChatOptions,
    ChatReset,
    ChatSend,
    ServerEvent,
    SessionDraining,
    SessionStart,
    SpeechEnded,
    SpeechStarted,
    encode_message,
)
from bus.contract.errors import (
    BusUnavailable,
    Draining,
    IdleTimeout,
    InternalError,
    NoChat,
    NoWorker,
    Overloaded,
    ServiceError,
    UnknownModel,
)
from clients.failures import Busy, ConnectionLost, NotHarken, SessionOver
from clients.session import ClientSession, Phase
from tests.unit.clients.events import (
    cancelled,
    chat_failed,
    chat_started,
    committed,
    delta,
    done,
    ended,
    error,
    failed,
    final,
    partial,
    started,
)

START = SessionStart(language="en", hotwords=("Harken",))


def feed(session: ClientSession, *events: ServerEvent) -> None:
    for event in events:
        session.on_text(encode_message(event))


def open_session(
    start: SessionStart = START, *, max_frame_bytes: int = 65536, max_replay_bytes: int = 1000
) -> ClientSession:
    session = ClientSession(start, max_replay_bytes=max_replay_bytes)
    feed(session, started(max_frame_bytes=max_frame_bytes))
    return session


def test_the_start_frame_holds_what_was_asked_for() -> None:
    assert msgspec.json.decode(ClientSession(START).start_frame(), type=SessionStart) == START


def test_the_session_is_open_once_the_service_says_so() -> None:
    session = ClientSession(START)
    phases = [session.phase]
    event = session.on_text(encode_message(started(audio_offset=7)))
    phases.append(session.phase)
    assert event == started(audio_offset=7)
    assert phases == [Phase.OPENING, Phase.OPEN]
    assert session.opened() == started(audio_offset=7)
    assert session.committed_offset == 7


def test_audio_is_cut_to_the_announced_frame_size_and_kept() -> None:
    session = open_session(max_frame_bytes=4)
    assert list(session.audio_frames(b"aabbccdde")) == [b"aabb", b"ccdd", b"e"]
    assert session.replay is not None
    assert session.replay.since(0) == b"aabbccdde"


def test_a_frame_that_was_not_taken_counts_as_not_sent() -> None:
    session = open_session(max_frame_bytes=2)
    frames = session.audio_frames(b"aabb")
    next(frames)
    assert session.replay is not None
    assert session.replay.end_offset == 1


def test_committed_audio_is_forgotten_and_the_offset_never_goes_back() -> None:
    session = open_session()
    list(session.audio_frames(b"aabb"))
    list(session.audio_frames(b"ccdd"))
    feed(session, committed(2, 2), committed(3, 1))
    assert session.committed_offset == 2
    assert session.replay is not None
    assert session.replay.start_offset == 2


def test_a_frame_of_stereo_float_samples_counts_as_one_offset() -> None:
    session = open_session(SessionStart(audio=AudioFormat(encoding="float32", channels=2)))
    list(session.audio_frames(bytes(80)))
    assert session.replay is not None
    assert session.replay.end_offset == 10


def test_container_bytes_are_not_kept_because_offsets_cannot_find_them() -> None:
    session = open_session(SessionStart(audio=AudioFormat(encoding="container")))
    assert list(session.audio_frames(b"OggS")) == [b"OggS"]
    assert session.replay is None
    feed(session, committed(2, 100))
    assert session.committed_offset == 100


def test_audio_before_the_session_is_open_is_refused() -> None:
    with pytest.raises(SessionOver, match="not open yet"):
        list(ClientSession(START).audio_frames(b"aa"))


def test_audio_after_the_end_is_refused() -> None:
    session = open_session()
    assert session.end_frame() == encode_message(AudioEnd())
    assert session.phase is Phase.ENDING
    with pytest.raises(SessionOver, match="after the end"):
        list(session.audio_frames(b"aa"))


def test_a_commit_may_be_said_until_the_end() -> None:
    with pytest.raises(SessionOver, match="not open yet"):
        ClientSession(START).commit_frame()
    session = open_session()
    assert session.commit_frame() == session.commit_frame() == encode_message(AudioCommit())
    assert session.phase is Phase.OPEN
    session.end_frame()
    with pytest.raises(SessionOver, match="after the end"):
        session.commit_frame()


def test_turns_go_out_until_the_end() -> None:
    start = SessionStart(chat=ChatOptions())
    with pytest.raises(SessionOver, match="not open yet"):
        ClientSession(start).chat_frame(ChatReset())
    session = open_session(start)
    assert session.chat_frame(ChatSend(text="hi")) == encode_message(ChatSend(text="hi"))
    session.end_frame()
    with pytest.raises(SessionOver, match="after the end"):
        session.chat_frame(ChatReset())


def test_a_turn_in_a_session_without_chat_is_refused() -> None:
    with pytest.raises(NoChat, match="has no chat"):
        open_session().chat_frame(ChatSend(text="hi"))


def test_a_session_without_audio_refuses_audio_and_still_ends() -> None:
    session = open_session(SessionStart(audio=None, chat=ChatOptions()))
    assert session.replay is None
    with pytest.raises(NoChat, match="has no audio"):
        list(session.audio_frames(b"aa"))
    with pytest.raises(NoChat, match="has no audio"):
        session.commit_frame()
    assert session.end_frame() == encode_message(AudioEnd())
    feed(session, ended(2))
    assert session.phase is Phase.ENDED


def test_all_chat_events_are_handed_on() -> None:
    session = open_session(SessionStart(chat=ChatOptions()))
    events: list[ServerEvent] = [
        chat_started(2),
        delta(3, "Hel"),
        done(4, "Hel"),
        cancelled(5, answer=2),
        chat_failed(6, answer=3),
    ]
    assert [session.on_text(encode_message(event)) for event in events] == events


def test_the_end_is_said_once() -> None:
    session = open_session()
    session.end_frame()
    assert session.end_frame() is None


def test_all_transcript_events_are_handed_on() -> None:
    session = open_session()
    events: list[ServerEvent] = [
        SpeechStarted(seq=2, segment=1, channel=0, start_s=0.1),
        partial(3),
        SpeechEnded(seq=4, segment=1, channel=0, end_s=0.9),
        final(5),
        failed(6, segment=2),
    ]
    assert [session.on_text(encode_message(event)) for event in events] == events
    assert session.missed_events == 0


def test_the_session_ends_when_the_service_says_so_and_the_close_that_follows_is_no_failure() -> None:
    session = open_session()
    session.end_frame()
    feed(session, ended(2))
    assert session.phase is Phase.ENDED
    assert session.is_over
    session.on_close(1000, "")
    assert session.failure is None
    assert session.end_frame() is None
    assert session.on_text(encode_message(final(3))) is None


def test_draining_is_noted_and_the_session_goes_on() -> None:
    session = open_session()
    feed(session, SessionDraining(seq=2, within_s=8.0))
    assert session.draining_within_s == 8.0
    assert session.phase is Phase.OPEN


def test_an_error_that_is_not_fatal_is_only_handed_on() -> None:
    session = open_session()
    assert session.on_text(encode_message(error(2))) == error(2)
    assert session.phase is Phase.OPEN


def test_a_fatal_error_fails_the_session_with_its_exception() -> None:
    session = ClientSession(START)
    feed(session, error(1, code="unknown_model", fatal=True))
    assert session.phase is Phase.FAILED
    assert isinstance(session.failure, UnknownModel)
    with pytest.raises(UnknownModel):
        session.opened()
    with pytest.raises(UnknownModel):
        list(session.audio_frames(b"aa"))
    with pytest.raises(UnknownModel):
        session.end_frame()


@pytest.mark.parametrize(
    ("code", "kind"),
    [("overloaded", Overloaded), ("no_worker", NoWorker), ("bus_unavailable", BusUnavailable), ("draining", Draining)],
)
def test_a_refusal_in_answer_to_the_start_is_busy_like_one_before_the_upgrade(code: str, kind: type[Exception]) -> None:
    session = ClientSession(START)
    feed(session, error(1, code=code, retryable=True, fatal=True))
    assert isinstance(session.failure, Busy)
    assert isinstance(session.failure, kind)
    assert str(session.failure) == "what went wrong"
    assert session.failure.retry_after_s is None


def test_a_close_in_answer_to_the_start_is_busy_too_if_its_code_names_such_a_reason() -> None:
    session = ClientSession(START)
    session.on_close(1013, "full")
    assert isinstance(session.failure, Busy)


def test_an_open_session_that_fails_is_not_busy_for_a_retry_would_lose_its_audio() -> None:
    session = open_session()
    feed(session, error(2, code="bus_unavailable", retryable=True, fatal=True))
    assert type(session.failure) is BusUnavailable


def test_a_fatal_error_of_an_unknown_code_is_still_an_error() -> None:
    session = open_session()
    feed(session, error(2, code="moon_phase", retryable=True, fatal=True))
    assert isinstance(session.failure, ServiceError)


def test_the_fatal_error_wins_over_the_close_code_that_follows() -> None:
    session = open_session()
    feed(session, error(2, code="overloaded", fatal=True))
    session.on_close(1013, "")
    assert isinstance(session.failure, Overloaded)
    assert str(session.failure) == "what went wrong"


@pytest.mark.parametrize(("code", "kind"), [(4408, IdleTimeout), (1000, ConnectionLost), (None, ConnectionLost)])
def test_a_close_before_the_end_is_a_failure(code: int | None, kind: type[Exception]) -> None:
    session = open_session()
    session.on_close(code, "")
    assert type(session.failure) is kind


def test_events_of_an_unknown_type_are_ignored_but_count_in_the_sequence() -> None:
    session = open_session()
    assert session.on_text('{"type":"speaker.changed","seq":2,"who":"b"}') is None
    assert session.on_text('{"type":"speaker.changed"}') is None
    feed(session, partial(3))
    assert session.missed_events == 0
    assert session.phase is Phase.OPEN


def test_unknown_fields_are_ignored() -> None:
    session = open_session()
    assert session.on_text(
        '{"type":"audio.committed","seq":2,"offset":5,"time_s":0.1,"new":1}'
    ) == msgspec.structs.replace(committed(2, 5), time_s=0.1)


def test_a_gap_in_the_sequence_is_counted() -> None:
    session = open_session()
    feed(session, partial(2), partial(5), partial(6))
    assert session.missed_events == 2


def test_an_event_seen_before_is_dropped() -> None:
    session = open_session()
    feed(session, partial(2), final(3))
    assert session.on_text(encode_message(final(3))) is None
    assert session.on_text(encode_message(partial(2))) is None
    assert session.on_text(encode_message(partial(4))) == partial(4)
    assert session.missed_events == 0


@pytest.mark.parametrize(
    "text", ["hello", "[1]", '{"seq":1}', '{"type":"transcript.final","seq":1}', '{"x":' + "[" * 50_000]
)
def test_an_answer_in_another_protocol_is_no_harken(text: str) -> None:
    session = ClientSession(START)
    assert session.on_text(text) is None
    assert isinstance(session.failure, NotHarken)


def test_another_event_before_the_start_is_no_harken() -> None:
    session = ClientSession(START)
    assert session.on_text(encode_message(final(1))) is None
    assert isinstance(session.failure, NotHarken)


def test_a_start_that_allows_no_frame_at_all_is_no_harken() -> None:
    session = ClientSession(START)
    assert session.on_text(encode_message(started(max_frame_bytes=0))) is None
    assert isinstance(session.failure, NotHarken)


def test_a_start_before_the_first_sample_is_no_harken() -> None:
    session = ClientSession(START)
    assert session.on_text(encode_message(msgspec.structs.replace(started(), audio_offset=-1))) is None
    assert isinstance(session.failure, NotHarken)


def test_a_second_start_breaks_the_protocol() -> None:
    session = open_session()
    assert session.on_text(encode_message(started(2))) is None
    assert isinstance(session.failure, InternalError)


def test_a_broken_event_of_a_known_type_names_what_is_wrong_and_no_content() -> None:
    session = open_session()
    assert session.on_text('{"type":"transcript.partial","seq":2,"text":"secret"}') is None
    assert isinstance(session.failure, InternalError)
    assert "secret" not in str(session.failure)
