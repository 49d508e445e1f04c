"""The sessions of one gateway process, by their sockets and by their names."""

from collections.abc import Iterator

from stream_gateway.live_session import LiveSession


class Registry:
    """Each name has one session at most; one may have to give its name to a later one, and is then about to end."""

    def __init__(self) -> None:
        self._all: dict[LiveSession, None] = {}
        self._by_id: dict[str, LiveSession] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[LiveSession]:
        """Those there are now: some may go meanwhile."""
        return iter(list(self._all))

    def add(self, live: LiveSession) -> None:
        """A socket came, with a session of its own."""
        self._all[live] = None
        self._by_id[live.session_id] = live

    def remove(self, live: LiveSession) -> None:
        """It is done with."""
        del self._all[live]
        if self._by_id.get(live.session_id) is live:
            del self._by_id[live.session_id]

    def named(self, session: str) -> LiveSession | None:
        """Who has this name."""
        return self._by_id.get(session)

    def rename(self, live: LiveSession, session: str) -> LiveSession | None:
        """The session of this name goes on as `live`; give whoever had the name."""
        before = self._by_id.get(session)
        del self._by_id[live.session_id]
        self._by_id[session] = live
        live.session_id = session
        return before

    def detached(self) -> list[LiveSession]:
        """Those whose client is away and may come back; who has been away longest comes first."""
        away = [
            (live.detached_at, live)
            for live in self._all
            if live.detached_at is not None and live.machine.awaits_client  # and not one whose time is over
        ]
        return [live for _, live in sorted(away, key=lambda one: one[0])]
