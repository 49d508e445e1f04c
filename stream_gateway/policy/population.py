"""Who is inside: open sessions, those that came lately, and those of each tenant. Pure."""

from collections import Counter


class Population:
    """The sessions of one gateway. `now` never goes back."""

    def __init__(self, *, settle_s: float) -> None:
        """A session is new for `settle_s`: so long it takes until what it asks for shows in the pool."""
        self._settle_s = settle_s
        self._tenants: dict[str, str] = {}
        self._by_tenant: Counter[str] = Counter()
        self._new: dict[str, float] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._tenants)

    def on_opened(self, session: str, tenant: str, now: float) -> None:
        """A session came in."""
        self._tenants[session] = tenant
        self._by_tenant[tenant] += 1
        self._new[session] = now

    def on_closed(self, session: str) -> None:
        """It is gone."""
        tenant = self._tenants.pop(session)
        self._by_tenant[tenant] -= 1
        if not self._by_tenant[tenant]:
            del self._by_tenant[tenant]
        self._new.pop(session, None)

    def of_tenant(self, tenant: str) -> int:
        """How many of them are this tenant's."""
        return self._by_tenant[tenant]

    def new(self, now: float) -> int:
        """How many came within the last `settle_s`."""
        while self._new:
            session, opened_at = next(iter(self._new.items()))
            if now < opened_at + self._settle_s:
                break
            del self._new[session]
        return len(self._new)

    def next_settles_in_s(self, now: float) -> float:
        """Time until the oldest of the new ones is new no more; 0 if there is none."""
        opened_at = next(iter(self._new.values()), None)
        return 0.0 if opened_at is None else max(0.0, opened_at + self._settle_s - now)
