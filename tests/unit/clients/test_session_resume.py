"""A session that outlives its socket: what is told, what is sent again, and what fails it all the same."""

import msgspec
import pytest

from bus.contract.client_protocol import (
    AudioEnd,
    AudioFormat,
    ChatOptions,
    ChatRequest,
    ChatSend,
    ClientMessage,
    HeldAnswer,
    ServerEvent,
    SessionDraining,
    SessionResume,
    SessionStart,
    encode_message,
)
from bus.contract.errors import (
    BusUnavailable,
    CannotResume,
    ClientTooSlow,
    Draining,
    InternalError,
    InvalidMessage,
    NoWorker,
    SessionTaken,
    Unauthorized,
)
from clients.failures import ConnectionLost, NotHarken, SessionOver
from clients.session import ClientSession, Phase
from tests.unit.clients.events import (
    GRANT,
    chat_started,
    committed,
    delta,
    ended,
    error,
    final,
    partial,
    resumed,
    started,
)

START = SessionStart(chat=ChatOptions())

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


def feed(session: ClientSession, *events: ServerEvent) -> list[ServerEvent | None]:
    return [session.on_text(encode_message(event)) for event in events]


def open_session(start: SessionStart = START, *, resumes: bool = True) -> ClientSession:
    session = ClientSession(start, resumes=resumes)
    feed(session, started(grant=GRANT))
    return session


def lost_session(*events: ServerEvent) -> ClientSession:
    session = open_session()
    feed(session, *events)
    session.on_close(None, "")
    return session


def frames(session: ClientSession) -> list[bytes | ClientMessage]:
    taken = []
    while (frame := session.next_frame()) is not None:
        taken.append(_decoder.decode(frame) if isinstance(frame, str) else frame)
    return taken


def phase_of(session: ClientSession) -> Phase:
    return session.phase


def resume(session: ClientSession) -> SessionResume:
    message = _decoder.decode(session.resume_frame())
    assert isinstance(message, SessionResume)
    return message


def test_a_lost_socket_does_not_fail_a_session_that_has_a_token() -> None:
    session = lost_session()
    assert phase_of(session) is Phase.AWAY
    assert isinstance(session.lost, ConnectionLost)
    assert not session.is_over
    assert not session.can_send
    session.sending().put_audio(b"aa")
    assert session.next_frame() is None
    assert session.has_unsent


def test_it_tells_what_it_has_and_goes_on_from_where_the_service_says() -> None:
    session = open_session()
    session.sending().put_audio(b"aabbccdd")
    frames(session)
    feed(session, committed(2, 1), final(3, segment=1), chat_started(4), delta(5, "Hel"))
    session.on_close(1006, "")
    assert (session.results, session.running_answer) == (1, 1)
    assert resume(session) == SessionResume(
        session="s1", token="t0ken", seq=5, offset=1, segments=(1,), answer=HeldAnswer(answer=1, text="Hel")
    )
    assert phase_of(session) is Phase.RESUMING
    assert session.next_frame() is None
    assert feed(session, delta(6, "lo"), resumed(7, audio_offset=2)) == [delta(6, "lo"), resumed(7, audio_offset=2)]
    assert phase_of(session) is Phase.OPEN
    assert session.lost is None
    assert session.is_catching_up
    assert frames(session) == [b"ccdd"]
    assert session.committed_offset == 2


def test_an_end_that_was_given_is_given_again() -> None:
    session = open_session()
    session.end()
    assert frames(session) == [AudioEnd()]
    session.on_close(None, "")
    assert phase_of(session) is Phase.AWAY
    with pytest.raises(SessionOver):
        session.sending()
    resume(session)
    feed(session, resumed(2))
    assert phase_of(session) is Phase.ENDING
    assert frames(session) == [AudioEnd()]
    feed(session, ended(3))
    assert phase_of(session) is Phase.ENDED


def test_the_newest_token_counts_and_without_one_the_next_loss_is_the_last() -> None:
    session = lost_session()
    resume(session)
    feed(session, resumed(2, grant=msgspec.structs.replace(GRANT, token="n3w")))
    session.on_close(None, "")
    assert resume(session).token == "n3w"
    feed(session, resumed(3, grant=None))
    session.on_close(None, "")
    assert isinstance(session.failure, ConnectionLost)


@pytest.mark.parametrize("start", [SessionStart(audio=None, chat=ChatOptions()), SessionStart()])
def test_sessions_of_typed_turns_and_of_speech_alone_resume_too(start: SessionStart) -> None:
    session = ClientSession(start)
    feed(session, started(grant=GRANT))
    session.on_close(None, "")
    resume(session)
    feed(session, resumed(2))
    assert phase_of(session) is Phase.OPEN


def test_a_turn_that_was_typed_meanwhile_is_sent_behind_those_the_service_has_not_told_of() -> None:
    session = open_session()
    for text in ("one", "two"):
        outgoing = session.sending()
        outgoing.put_command(outgoing.named(ChatSend(text=text)))
    frames(session)
    session.on_close(None, "")
    session.sending().put_command(session.sending().named(ChatSend(text="three")))
    resume(session)
    session.on_text('{"type":"chat.turn","seq":2,"turn":1,"source":"typed","id":"m1"}')
    feed(session, resumed(3))
    assert frames(session) == [ChatSend(text="two", id="m2"), ChatSend(text="three", id="m3")]


def test_a_refusal_does_away_with_a_wish_and_with_no_turn_which_may_wait_to_be_stored() -> None:
    session = open_session()
    for command in (ChatSend(text="one"), ChatRequest()):
        session.sending().put_command(session.sending().named(command))
    frames(session)
    feed(session, error(2, code="nothing_to_answer"), error(3, code="no_worker", retryable=True))
    session.on_close(None, "")
    resume(session)
    feed(session, resumed(4))
    assert frames(session) == [ChatSend(text="one", id="m1")]


@pytest.mark.parametrize("resumes", [True, False])
def test_without_a_token_or_the_wish_a_lost_socket_is_the_end(resumes: bool) -> None:
    session = ClientSession(START, resumes=resumes)
    feed(session, started(grant=None if resumes else GRANT), committed(2, 0))
    session.on_close(None, "")
    assert isinstance(session.failure, ConnectionLost)


def test_a_container_cannot_be_resumed_because_its_bytes_have_no_offsets() -> None:
    session = open_session(SessionStart(audio=AudioFormat(encoding="container")))
    assert session.grant is None
    session.on_close(None, "")
    assert phase_of(session) is Phase.FAILED


@pytest.mark.parametrize(
    ("code", "kind"),
    [("bus_unavailable", BusUnavailable), ("no_worker", NoWorker), ("draining", Draining), ("internal", InternalError)],
)
def test_a_service_in_trouble_means_another_socket(code: str, kind: type[Exception]) -> None:
    session = open_session()
    assert feed(session, error(2, code=code, retryable=True, fatal=True)) == [None]
    assert phase_of(session) is Phase.AWAY
    assert isinstance(session.lost, kind)
    session.on_close(1013, "")
    assert isinstance(session.lost, kind)


@pytest.mark.parametrize(
    ("code", "retryable", "kind"),
    [
        ("client_too_slow", True, ClientTooSlow),
        ("session_taken", False, SessionTaken),
        ("internal", False, InternalError),
    ],
)
def test_what_another_socket_cannot_mend_fails_the_session(code: str, retryable: bool, kind: type[Exception]) -> None:
    session = open_session()
    feed(session, error(2, code=code, retryable=retryable, fatal=True))
    assert isinstance(session.failure, kind)


def test_a_service_that_does_not_know_the_session_fails_it() -> None:
    session = lost_session(partial(2), final(3))
    resume(session)
    feed(session, error(1, code="cannot_resume", fatal=True))
    assert isinstance(session.failure, CannotResume)
    session.on_resume_failed(Unauthorized("no"))
    session.give_up()
    session.on_close(4410, "")
    assert isinstance(session.failure, CannotResume)


def test_a_key_that_is_not_taken_any_more_fails_it() -> None:
    session = lost_session()
    session.on_resume_failed(Unauthorized("no such key"))
    assert isinstance(session.failure, Unauthorized)


@pytest.mark.parametrize("code", ["bus_unavailable", "invalid_message", "overloaded"])
def test_after_any_other_refusal_the_next_try_may_go_well(code: str) -> None:
    session = lost_session(partial(2), final(3))
    resume(session)
    assert feed(session, error(1, code=code, fatal=True)) == [None]
    assert phase_of(session) is Phase.AWAY
    assert resume(session).seq == 3
    feed(session, resumed(4))
    assert phase_of(session) is Phase.OPEN


def test_what_does_not_speak_the_protocol_is_no_reason_to_stop_trying() -> None:
    session = lost_session()
    for text in ("welcome", encode_message(started(2))):
        resume(session)
        assert session.on_text(text) is None
        assert phase_of(session) is Phase.AWAY
    session.give_up()
    assert str(session.failure) == (
        "the connection closed before the session had ended. It could not be taken up again; the last try:"
        " what answers cannot resume: session.started must come first, and once, and session.resumed only when it is"
        " asked for"
    )


def test_giving_up_says_what_was_lost() -> None:
    session = lost_session()
    session.give_up()
    assert isinstance(session.failure, ConnectionLost)
    assert str(session.failure).endswith("before the session had ended. It could not be taken up again")


def test_an_offset_of_audio_that_was_never_sent_breaks_the_protocol() -> None:
    session = lost_session()
    resume(session)
    assert feed(session, resumed(2, audio_offset=1)) == [None]
    assert isinstance(session.failure, InternalError)


def test_a_resume_that_allows_no_frame_breaks_the_protocol() -> None:
    session = lost_session()
    resume(session)
    assert feed(session, resumed(2, max_frame_bytes=0)) == [None]
    assert isinstance(session.failure, InternalError)


def test_a_resume_that_nobody_asked_for_breaks_the_protocol() -> None:
    session = open_session()
    assert feed(session, resumed(2)) == [None]
    assert isinstance(session.failure, InternalError)


def test_what_a_try_has_told_before_it_broke_is_not_asked_for_again() -> None:
    session = lost_session()
    resume(session)
    feed(session, final(2, segment=1))
    session.on_resume_failed(ConnectionLost("cut"))
    assert phase_of(session) is Phase.AWAY
    assert (resume(session).seq, session.has_moved) == (2, False)


def test_a_session_leaves_a_gateway_that_goes_away_while_its_socket_works_on() -> None:
    session = open_session()
    assert feed(session, SessionDraining(seq=2, within_s=8.0)) == [None]
    assert (session.should_move, session.draining_within_s, session.phase) == (True, 8.0, Phase.OPEN)
    session.sending().put_audio(b"aa")
    assert frames(session) == [b"aa"]
    assert feed(session, partial(3)) == [partial(3)]
    assert resume(session).seq == 3
    assert (session.phase, session.can_send, session.has_moved) == (Phase.OPEN, False, False)
    feed(session, resumed(4))
    assert (session.should_move, session.draining_within_s, session.has_moved) == (False, None, True)
    assert frames(session) == [b"aa"]


def test_a_move_that_is_refused_leaves_the_old_socket_in_use() -> None:
    session = open_session()
    feed(session, SessionDraining(seq=2, within_s=8.0))
    resume(session)
    feed(session, error(1, code="overloaded", retryable=True, fatal=True))
    assert (session.phase, session.can_send, session.lost) == (Phase.OPEN, True, None)
    assert feed(session, final(3)) == [final(3)]
    session.end()
    feed(session, ended(4))
    assert not session.should_move
    assert phase_of(session) is Phase.ENDED


def test_once_anything_was_told_on_the_new_socket_the_old_one_is_no_way_back() -> None:
    session = open_session()
    feed(session, SessionDraining(seq=2, within_s=8.0))
    resume(session)
    feed(session, final(3))
    assert (session.has_moved, session.phase) == (True, Phase.RESUMING)
    session.on_resume_failed(ConnectionLost("cut"))
    assert phase_of(session) is Phase.AWAY
    assert isinstance(session.lost, ConnectionLost)


def test_draining_is_told_where_the_session_ends_with_its_socket() -> None:
    session = open_session(resumes=False)
    event = SessionDraining(seq=2, within_s=8.0)
    assert feed(session, event) == [event]
    assert not session.should_move


def test_a_gateway_that_wakes_up_and_takes_up_an_old_try_has_the_session_taken_back() -> None:
    session = lost_session()
    resume(session)
    session.on_resume_failed(ConnectionLost("no answer"))
    resume(session)
    feed(session, resumed(2), error(3, code="session_taken", fatal=True))
    assert phase_of(session) is Phase.AWAY
    resume(session)
    feed(session, resumed(4), error(5, code="session_taken", fatal=True))
    assert isinstance(session.failure, SessionTaken)


def test_errors_that_are_not_fatal_are_handed_on_while_it_resumes() -> None:
    session = lost_session()
    resume(session)
    assert feed(session, error(2, code="no_worker", retryable=True)) == [error(2, code="no_worker", retryable=True)]
    assert session.is_resuming


@pytest.mark.parametrize("kind", [InvalidMessage, NotHarken])
def test_a_refused_upgrade_is_followed_by_the_next_try(kind: type[InvalidMessage]) -> None:
    session = lost_session()
    session.on_resume_failed(kind("HTTP 502"))
    assert phase_of(session) is Phase.AWAY


@pytest.mark.parametrize(("quiet_s", "phase"), [(47.0, Phase.AWAY), (48.0, Phase.FAILED)])
def test_a_service_that_missed_what_was_sent_or_slept_over_has_not_ended_the_session(
    quiet_s: float, phase: Phase
) -> None:
    told, closed = open_session(), open_session()
    told.on_text(encode_message(error(2, code="idle_timeout", retryable=True, fatal=True)), quiet_s=quiet_s)
    closed.on_close(4408, "", quiet_s=quiet_s)
    assert (told.phase, closed.phase) == (phase, phase)


def test_without_a_token_an_idle_session_is_over_however_busy_it_was() -> None:
    session = open_session(resumes=False)
    session.on_close(4408, "", quiet_s=0.0)
    assert session.phase is Phase.FAILED
