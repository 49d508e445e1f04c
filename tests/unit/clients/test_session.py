import msgspec
import pytest

from bus.contract.client_protocol import (
    AudioEnd,
    ChatOptions,
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
    turn_stored,
)

START = SessionStart(language="en", hotwords=("Harken",))


def feed(session: ClientSession, *events: ServerEvent) -> None:
    for event in events:
        session.on_text(encode_message(event))


def open_session(start: SessionStart = START, *, max_frame_bytes: int = 65536) -> ClientSession:
    session = ClientSession(start)
    feed(session, started(max_frame_bytes=max_frame_bytes))
    return session


def frames(session: ClientSession) -> list[bytes | str]:
    """All that is to be sent now."""
    return list(iter(session.next_frame, None))


def test_the_start_frame_holds_what_was_asked_for() -> None:
    assert msgspec.json.decode(ClientSession(START).start_frame(), type=SessionStart) == START


def test_the_session_is_open_once_the_service_says_so() -> None:
    session = ClientSession(START)
    phases = [session.phase]
    event = session.on_text(encode_message(started(audio_offset=7)))
    phases.append(session.phase)
    assert event == started(audio_offset=7)
    assert phases == [Phase.OPENING, Phase.OPEN]
    assert session.started == started(audio_offset=7)
    assert session.committed_offset == 7


def test_audio_goes_out_in_frames_of_the_announced_size() -> None:
    session = open_session(max_frame_bytes=4)
    assert session.sending().put_audio(b"aabbccdde") == 4
    assert session.sending().put_audio(b"ccdde") == 4
    assert session.has_unsent
    assert frames(session) == [b"aabb", b"ccdd"]
    assert not session.has_unsent


def test_the_committed_offset_never_goes_back() -> None:
    session = open_session()
    feed(session, committed(2, 2), committed(3, 1))
    assert session.committed_offset == 2


def test_nothing_is_sent_before_the_session_is_open() -> None:
    session = ClientSession(START)
    with pytest.raises(SessionOver, match="not open yet"):
        session.sending()
    session.end()
    assert session.next_frame() is None
    assert not session.has_unsent
    assert not session.is_catching_up
    assert session.phase is Phase.OPENING


def test_the_end_goes_out_once_behind_all_else_and_nothing_may_be_sent_after_it() -> None:
    session = open_session()
    session.sending().put_audio(b"aa")
    session.end()
    session.end()
    assert session.phase is Phase.ENDING
    with pytest.raises(SessionOver, match="after the end"):
        session.sending()
    assert frames(session) == [b"aa", encode_message(AudioEnd())]
    assert not session.has_unsent


def test_all_chat_events_are_handed_on() -> None:
    session = open_session(SessionStart(chat=ChatOptions()))
    events: list[ServerEvent] = [
        turn_stored(2),
        chat_started(3),
        delta(4, "Hel"),
        done(5, "Hel"),
        cancelled(6, answer=2),
        chat_failed(7, answer=3),
    ]
    assert [session.on_text(encode_message(event)) for event in events] == events


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
    session.end()
    feed(session, ended(2))
    assert session.phase is Phase.ENDED
    assert session.is_over
    session.on_close(1000, "")
    assert session.failure is None
    with pytest.raises(SessionOver, match="after the end"):
        session.sending()
    assert session.next_frame() is None
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
        session.sending()
    with pytest.raises(UnknownModel):
        session.end()


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
