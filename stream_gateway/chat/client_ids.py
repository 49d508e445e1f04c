"""Which of a client's typed turns are known already, by the names that it gave them. Pure.

A client that resumes sends again what it has no `chat.turn` of. The newest `MAX_IDS` names of a session are remembered,
across gateways too, for they are in the record; a name that comes again after so many others is a new turn.
"""

from stream_gateway.session.events import TurnStored

MAX_IDS = 1024
"""Far more than a client has without an acknowledgement, and 0.2 MiB at most."""


class ClientIds:
    """A bounded memory."""

    def __init__(self, stored: tuple[TurnStored, ...] = ()) -> None:
        self._told: dict[str, TurnStored | None] = {}
        for turn in stored:
            self.on_stored(turn)

    def __contains__(self, id: str) -> bool:
        return id in self._told

    def add(self, id: str) -> None:
        """A turn of this name is taken, and not stored yet."""
        self._told[id] = None
        if len(self._told) > MAX_IDS:
            del self._told[next(iter(self._told))]

    def on_stored(self, turn: TurnStored) -> None:
        """The turn is stored."""
        if turn.id is not None:
            self._told.pop(turn.id, None)
            self.add(turn.id)
            self._told[turn.id] = turn

    def stored(self, id: str) -> TurnStored | None:
        """What was told of a turn that is known; None: it will be told once it is stored."""
        return self._told[id]
