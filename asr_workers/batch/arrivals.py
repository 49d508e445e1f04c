"""How soon another window of a kind and context is to be expected. Pure."""

from dataclasses import dataclass

from bus.contract.work import WindowKind

_SHARE = 0.2
"""Weight of the newest gap: some five windows tell."""
_UNKNOWN_S = 3600.0
"""The gap while there was none yet."""


@dataclass(frozen=True, slots=True)
class _Seen:
    last_at: float
    gap_s: float


class Arrivals:
    """Not thread-safe. There are as many entries as kinds and contexts."""

    def __init__(self) -> None:
        self._seen: dict[tuple[WindowKind, int | None], _Seen] = {}

    def on_arrival(self, kind: WindowKind, context_s: int, at: float) -> None:
        """A window came. Times may be out of order by a little: windows are prepared in parallel."""
        for key in ((kind, context_s), (kind, None)):
            before = self._seen.get(key)
            if before is None:
                self._seen[key] = _Seen(at, _UNKNOWN_S)
                continue
            gap_s = max(0.0, at - before.last_at)
            if before.gap_s < _UNKNOWN_S:
                gap_s = before.gap_s + _SHARE * (gap_s - before.gap_s)
            self._seen[key] = _Seen(max(at, before.last_at), gap_s)

    def gap_s(self, kind: WindowKind, context_s: int | None, now: float) -> float:
        """Expected time until the next one, of any context for None: the mean gap, or the silence if that is longer."""
        seen = self._seen.get((kind, context_s))
        return _UNKNOWN_S if seen is None else max(seen.gap_s, now - seen.last_at)
