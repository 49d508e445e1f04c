import pytest

from bus.contract.errors import Draining, HarkenError, IdleTimeout, InvalidMessage, NoWorker, SessionTooLong
from stream_gateway.dialects.openai_events import close_of
from stream_gateway.session import events
from tests.unit.stream_gateway.dialects.openai_desk import Desk, error_of


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(1000, 1000), (1012, 1012), (1013, 1013), (1011, 1011), (4400, 1008), (4429, 1008), (4408, 1000), (4409, 1000)],
)
def test_closes_have_codes_that_these_clients_know(ours: int, theirs: int) -> None:
    assert close_of(ours) == theirs
    assert Desk().dialect.close(ours, "why") == (theirs, "why")


@pytest.mark.parametrize(
    "event",
    [
        events.Started("s", "base", 1),
        events.Committed(16_000),
        events.DrainNotice(5.0),
        events.TurnStored(turn=1, source="speech", segment=1),
        events.Ended("audio_end", 1.0, 1),
        events.Fault(NoWorker("nobody"), fatal=False),
        events.Fault(Draining("going"), fatal=True),
    ],
)
def test_what_these_clients_do_not_know_or_wait_out_is_not_told(event: events.SessionEvent) -> None:
    assert Desk().happen(event) == []


@pytest.mark.parametrize(
    ("error", "fatal", "kind", "code"),
    [
        (InvalidMessage("bad"), False, "invalid_request_error", "invalid_message"),
        (NoWorker("nobody"), True, "server_error", "no_worker"),
        (SessionTooLong("long"), True, "invalid_request_error", "session_expired"),
        (IdleTimeout("idle"), True, "invalid_request_error", "session_expired"),
    ],
)
def test_a_fault_is_an_error(error: HarkenError, fatal: bool, kind: str, code: str) -> None:
    told = error_of(Desk().happen(events.Fault(error, fatal=fatal)))
    assert told == {"type": kind, "code": code, "message": error.message}


@pytest.mark.parametrize("event", [events.Spelled("x"), events.Deferred(list), events.Missed(())])
def test_what_is_spelled_already_is_not_rendered(event: events.SessionEvent) -> None:
    with pytest.raises(AssertionError):
        Desk().happen(event)
