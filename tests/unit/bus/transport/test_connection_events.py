import logging

import nats.errors
import pytest

from bus.transport import connection_events
from bus.transport.connection_events import ConnectionEvents, subject_pattern


@pytest.mark.parametrize(
    ("subject", "pattern"),
    [
        ("asr.final.std.t1.s1", "asr.final.*"),
        ("inbox.gw.g1.s1", "inbox.gw.*"),
        ("live.t1.s1", "live.*"),
        ("transcripts.t1.s1", "transcripts.*"),
        ("_INBOX_gw.abc.def", "_INBOX_gw.*"),
        ("$JS.API.STREAM.DELETE.TRANSCRIPTS", "$JS.API.STREAM.DELETE.*"),
        ("$js.ack.asr_final.asr_std.1.2.3", "$js.ack.asr_final.asr_std.*"),
        ("$JS.API.DIRECT.GET.TRANSCRIPTS.transcripts.t1.s1", "$JS.API.DIRECT.GET.*"),
        ("plain", "plain"),
    ],
)
def test_a_pattern_holds_no_tenant_or_session(subject: str, pattern: str) -> None:
    assert subject_pattern(subject) == pattern


def test_a_violation_is_counted_always_and_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    events = ConnectionEvents("test")
    counter = connection_events.VIOLATIONS.labels("publish", "transcripts.*")
    before = counter._value.get()
    for session in ("s1", "s2", "s3"):
        events.on_error(nats.errors.Error(f'nats: permissions violation for publish to "transcripts.t1.{session}"'))
    assert counter._value.get() - before == 3
    assert caplog.messages == ["operation refused by NATS permissions"]
    assert events.last_error == "permission refused for publish to transcripts.*"
    assert "s1" not in caplog.text


def test_other_errors_are_kept_and_logged_for_debugging_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    events = ConnectionEvents("test")
    events.on_error(ConnectionRefusedError())
    assert events.last_error == "ConnectionRefusedError"
    assert caplog.records == []


def test_an_outage_is_one_line_at_each_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    events = ConnectionEvents("test")
    events.on_connected()
    assert events.connected.is_set() and not events.disconnected.is_set()
    events.on_disconnected(expected=False)
    events.on_disconnected(expected=False)
    assert events.disconnected.is_set() and not events.connected.is_set()
    events.on_reconnected()
    assert caplog.messages == ["connection to NATS lost", "connection to NATS is back"]


def test_our_own_close_is_not_news(caplog: pytest.LogCaptureFixture) -> None:
    events = ConnectionEvents("test")
    events.on_disconnected(expected=True)
    events.on_closed(expected=True)
    assert events.closed.is_set()
    assert caplog.messages == []


def test_an_end_that_we_did_not_ask_for_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    ConnectionEvents("test").on_closed(expected=False)
    assert caplog.messages == ["connection to NATS closed for good"]


async def test_waiting_ends_with_a_connection_or_for_good() -> None:
    connected, closed = ConnectionEvents("a"), ConnectionEvents("b")
    connected.on_connected()
    await connected.wait_connected_or_closed()
    closed.on_closed(expected=True)
    await closed.wait_connected_or_closed()
