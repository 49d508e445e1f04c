import pytest

from clients.cli.connection_notes import connection_note
from clients.connection_changes import ConnectionChange, Reconnected, Reconnecting
from clients.failures import ConnectionLost


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (Reconnecting(ConnectionLost("cut")), "connection lost; reconnecting"),
        (Reconnected(1.234), "reconnected after 1.2 s, nothing lost"),
        (Reconnected(0.0), None),
    ],
)
def test_a_person_is_told_of_what_can_be_noticed(change: ConnectionChange, note: str | None) -> None:
    assert connection_note(change) == note
