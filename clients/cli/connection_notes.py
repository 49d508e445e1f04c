"""What to tell a person about a connection that was lost and found. Pure."""

from typing import assert_never

from clients.connection_changes import ConnectionChange, Reconnected, Reconnecting


def connection_note(change: ConnectionChange) -> str | None:
    """Give one line; None for what nobody would notice."""
    match change:
        case Reconnecting():
            return "connection lost; reconnecting"
        case Reconnected(away_s=away_s):
            return f"reconnected after {away_s:.1f} s, nothing lost" if away_s > 0 else None
        case _:
            assert_never(change)
