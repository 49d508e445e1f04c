"""What a session depends on beside its client: the bus, and workers of its pool. Pure."""

from bus.contract.errors import BusUnavailable, NoWorker
from stream_gateway.session.effects import Effect, Emit
from stream_gateway.session.events import Fault


class Surroundings:
    """Remembers what is there, and says once when something goes."""

    def __init__(self) -> None:
        self.bus_connected = True
        self.workers_alive = True

    def on_bus(self, *, connected: bool) -> list[Effect]:
        """The connection to the bus was lost, or is back."""
        lost = self.bus_connected and not connected
        self.bus_connected = connected
        notice = BusUnavailable("the bus is away; audio is kept and transcription goes on when it returns")
        return [Emit(Fault(notice, fatal=False))] if lost else []

    def on_workers(self, *, alive: bool) -> list[Effect]:
        """The last worker of the session's pool went, or one is back."""
        lost = self.workers_alive and not alive
        self.workers_alive = alive
        notice = NoWorker("no worker is alive; audio is kept and transcription goes on when one returns")
        return [Emit(Fault(notice, fatal=False))] if lost else []
