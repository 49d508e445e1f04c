import json

import pytest

from bus.transport.pull_protocol import PullOutcome, encode_pull, has_heartbeat, read_status


def test_a_lingering_pull_asks_for_one_message_with_heartbeats() -> None:
    body = encode_pull(expires_s=30.0, heartbeat_s=5.0, group="pool", priority=5)
    assert json.loads(body) == {
        "batch": 1,
        "group": "pool",
        "priority": 5,
        "expires": 30_000_000_000,
        "idle_heartbeat": 5_000_000_000,
    }


def test_a_pull_too_short_for_two_heartbeats_asks_for_none() -> None:
    assert "idle_heartbeat" not in json.loads(encode_pull(expires_s=8.0, heartbeat_s=5.0, group="pool", priority=0))
    assert not has_heartbeat(10.0, 5.0)
    assert has_heartbeat(10.1, 5.0)
    assert not has_heartbeat(10.0, 0.05)


def test_a_probe_does_not_wait() -> None:
    body = encode_pull(expires_s=None, heartbeat_s=5.0, group="pool", priority=0)
    assert json.loads(body) == {"batch": 1, "group": "pool", "priority": 0, "no_wait": True}


@pytest.mark.parametrize(
    ("status", "description", "outcome"),
    [
        ("100", "Idle Heartbeat", PullOutcome.ALIVE),
        ("404", "No Messages", PullOutcome.NOTHING),
        ("408", "Request Timeout", PullOutcome.NOTHING),
        ("503", "", PullOutcome.MISSING),
        ("409", "Consumer Deleted", PullOutcome.MISSING),
        ("409", "Consumer is push based", PullOutcome.MISSING),
        ("409", "Leadership Change", PullOutcome.REISSUE),
        ("409", "Exceeded MaxWaiting", PullOutcome.BACK_OFF),
        ("409", "Server Shutdown", PullOutcome.BACK_OFF),
        ("400", "Bad Request - Priority Group missing", PullOutcome.BACK_OFF),
        ("423", "Nats-Wrong-Pin-Id", PullOutcome.BACK_OFF),
        ("999", "", PullOutcome.BACK_OFF),
    ],
)
def test_every_status_has_its_meaning(status: str, description: str, outcome: PullOutcome) -> None:
    assert read_status(status, description) is outcome
