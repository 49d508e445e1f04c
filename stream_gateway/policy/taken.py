"""Which worker has which finals of a gateway's sessions, as workers say, so that none waits for a worker that is gone.

A worker that dies keeps what it pulled until its lease with the broker runs out. Whoever knows sooner that it is gone
may hand that back in its name. Handing back what was answered meanwhile, or is with another worker by now, is harmless:
the broker ignores the one, and a gateway takes one answer of two.
"""

from collections import defaultdict
from dataclasses import dataclass

from bus.contract.work import AsrResult, AsrTaken

_MAX_OF_SESSION = 64
"""The oldest is forgotten first. A session has four finals with the broker, each delivered a few times at most."""
_FORGOTTEN_AFTER_S = 60.0
"""Of a final that was called off nobody says that it is done; no decode takes this long."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    taken: AsrTaken
    at: float


class TakenFinals:
    """One gateway's view. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._of_session: dict[str, dict[str, _Delivery]] = defaultdict(dict)

    def on_taken(self, taken: AsrTaken, now: float) -> None:
        """A worker has pulled a final of an open session. Idempotent."""
        deliveries = self._of_session[taken.session]
        deliveries[taken.ack_subject] = _Delivery(taken, now)
        if len(deliveries) > _MAX_OF_SESSION:
            del deliveries[next(iter(deliveries))]

    def on_result(self, result: AsrResult) -> None:
        """A final is answered. If it failed, another worker that has it may still succeed."""
        for ack_subject, delivery in list(self._of_session.get(result.session, {}).items()):
            taken = delivery.taken
            is_it = (taken.segment, taken.window) == (result.segment, result.window)
            if is_it and (result.failure is None or taken.worker == result.worker):
                del self._of_session[result.session][ack_subject]

    def on_closed(self, session: str) -> None:
        """Nobody waits for anything of this session any more."""
        self._of_session.pop(session, None)

    def workers(self, now: float) -> tuple[str, ...]:
        """Who has something, sorted."""
        return tuple(sorted({delivery.taken.worker for delivery in self._fresh(now)}))

    def on_gone(self, worker: str, now: float) -> tuple[AsrTaken, ...]:
        """The worker is gone: what it had, delivery by delivery, to be handed back. It is forgotten here."""
        lost = tuple(one.taken for one in self._fresh(now) if one.taken.worker == worker)
        for deliveries in self._of_session.values():
            for ack_subject in [key for key, one in deliveries.items() if one.taken.worker == worker]:
                del deliveries[ack_subject]
        return lost

    def clear(self) -> None:
        """The broker is another one, or was away: what is owed is asked for anew."""
        self._of_session.clear()

    def _fresh(self, now: float) -> list[_Delivery]:
        return [
            delivery
            for deliveries in self._of_session.values()
            for delivery in deliveries.values()
            if now - delivery.at < _FORGOTTEN_AFTER_S
        ]
