"""The figures of `--stats`: how late text came, measured by the client and by the service. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from bus.contract.client_protocol import ServerEvent, SessionEnded, TranscriptFinal, TranscriptPartial


@dataclass(slots=True)
class Latencies:
    """Figures of one recording. `now` is any monotonic clock in seconds, the same one throughout."""

    paced: bool
    """Audio went out at the speed of speech; else the delay of partials says nothing and is left out."""
    audio_s: float = 0.0
    wall_s: float = 0.0
    finals: int = 0
    first_partial_delays_s: list[float] = field(default_factory=list)
    final_latencies_s: list[float] = field(default_factory=list)
    _began_at: float | None = None
    _sighted: set[int] = field(default_factory=set)

    def begin(self, now: float) -> None:
        """Note when the first sample was spoken."""
        self._began_at = now

    def on_event(self, event: ServerEvent, now: float) -> None:
        """Count one event."""
        if self._began_at is not None:
            self.wall_s = now - self._began_at
        match event:
            case TranscriptPartial() if event.text and event.segment not in self._sighted:
                self._sighted.add(event.segment)
                if self.paced and self._began_at is not None:
                    self.first_partial_delays_s.append(now - self._began_at - event.start_s)
            case TranscriptFinal():
                self.finals += 1
                if event.times.total_s > 0:  # else it was missed while the connection was lost, and has no times
                    self.final_latencies_s.append(event.times.total_s)
            case SessionEnded():
                self.audio_s = event.audio_s
            case _:
                pass


def latency_rows(all_latencies: Sequence[Latencies]) -> list[tuple[str, str]]:
    """Give the table of all recordings together, as (what, figure)."""
    audio_s = sum(latencies.audio_s for latencies in all_latencies)
    wall_s = max((latencies.wall_s for latencies in all_latencies), default=0.0)
    partials = [delay for latencies in all_latencies for delay in latencies.first_partial_delays_s]
    finals = [latency for latencies in all_latencies for latency in latencies.final_latencies_s]
    return [
        ("audio", f"{audio_s:.1f} s"),
        ("wall time of the longest session", f"{wall_s:.1f} s"),
        ("speed", f"{audio_s / wall_s:.1f} x real time" if wall_s > 0 else "-"),
        ("finals", str(sum(latencies.finals for latencies in all_latencies))),
        ("first partial after start of speech, p50", _seconds(partials, 50)),
        ("final after end of speech, p50", _seconds(finals, 50)),
        ("final after end of speech, p95", _seconds(finals, 95)),
    ]


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the nearest-rank percentile of at least one value."""
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]


def _seconds(values: Sequence[float], percent: float) -> str:
    return f"{percentile(values, percent):.2f} s" if values else "-"
