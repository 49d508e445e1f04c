"""Partials of one session: when to ask for one, and what to show of the answer.

At most one window is in flight per session. A window that got no answer in `_LOST_AFTER_S` was replaced, expired in the
broker or died with its worker, and none survives an outage of the bus: the next one covers its audio, and is sent even
if no more audio comes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bus.contract.work import SAMPLE_RATE_HZ, SUPERSEDED, AsrResult, Task
from stream_gateway.policy.cadence import PoolLag, jitter_of
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.effects import Decode, Dropped, Effect, Emit
from stream_gateway.session.events import Partial
from stream_gateway.session.in_window import in_window
from stream_gateway.session.languages import SpokenLanguage
from stream_gateway.session.utterance import Heard, Utterance

_LOST_AFTER_S = 4.0
"""Above the 3 s for which the broker keeps a partial window."""
_DOUBTED_FOR_S = 0.5
"""After the death of a worker of the pool: an answer that comes from another one comes sooner, as a rule."""
_MIN_SPEECH_SAMPLES = SAMPLE_RATE_HZ * 2 // 5
"""The sooner, the more words Whisper invents: of those shown 22% changed at 0.5 s, 23 to 29% at 0.4 s."""
_MIN_NEWS_SAMPLES = SAMPLE_RATE_HZ // 4


@dataclass(frozen=True, slots=True)
class _InFlight:
    segment: int
    window: int
    start_sample: int
    end_sample: int
    sent_at: float
    shown_before_sample: int
    """What had been sent of its utterance before: if this window is lost, the rest is news again."""


class Partials:
    """Decides about partial windows in wall time; `settle` is called after every change."""

    def __init__(
        self,
        *,
        session: str,
        windows: Iterator[int],
        clock: AudioClock,
        language: SpokenLanguage,
        task: Task,
        lag: PoolLag,
    ) -> None:
        self._session = session
        self._windows = windows
        self._clock = clock
        self._language = language
        self._task = task
        self._lag = lag
        self._jitter = 0.5
        self._in_flight: _InFlight | None = None
        self._doubted_until: float | None = None
        """When the window in flight counts as gone with its worker."""
        self._paced_from: float | None = None
        """The next window comes an interval after this, as long as the pool's interval is by then."""

    def settle(self, utterances: Sequence[Utterance], scored_sample: int, now: float) -> list[Effect]:
        """Send the next window if it is time for one and someone has said something new."""
        effects: list[Effect] = []
        if self._in_flight is not None and self._doubted_until is not None and now >= self._doubted_until:
            effects += self._take_back("worker_gone", self._in_flight, utterances)
        elif self._in_flight is not None and now >= self._in_flight.sent_at + _LOST_AFTER_S:
            effects += self._give_up("lost", utterances, now)
        if self._in_flight is None and now >= self._next_at():
            utterance = self._most_news(utterances, scored_sample)
            if utterance is not None and self._lag.admit_partial(now):
                effects.append(self._send(utterance, scored_sample, now))
            elif utterance is not None:
                self._paced_from = now  # somebody else probes: ask again an interval later, whether audio comes or not
        return effects

    def on_result(self, result: AsrResult, utterances: Sequence[Utterance], now: float) -> list[Effect]:
        """Show a hypothesis if its utterance is still open; anything else is stale."""
        sent = self._in_flight
        if sent is None or result.window != sent.window:
            return [Dropped("partial", "stale")]
        if result.failure is not None and result.failure.code != SUPERSEDED:
            return self._give_up("failed", utterances, now)
        self._clear()
        if result.failure is not None:
            return [Dropped("partial", "superseded")]  # it tells nothing about the pool's speed
        self._lag.on_partial(now - sent.sent_at, now)
        utterance = next((one for one in utterances if one.segment == sent.segment), None)
        if utterance is None:
            return [Dropped("partial", "stale")]
        if not result.words:
            return [Dropped("partial", "empty")]
        result = in_window(result, sent.start_sample, sent.end_sample)
        written = "en" if self._task == "translate" else result.language
        # A final that is under way was told what was shown as stable: nothing is added to that meanwhile.
        running = utterance.stabiliser.on_hypothesis(result.words, language=written, agree=not utterance.pausing)
        utterance.heard = Heard(running.text, written, sent.end_sample)
        return [
            Emit(
                Partial(
                    segment=utterance.segment,
                    channel=utterance.channel,
                    start_s=utterance.speech_start_sample / SAMPLE_RATE_HZ,
                    end_s=sent.end_sample / SAMPLE_RATE_HZ,
                    stable=running.stable,
                    text=running.text,
                    language=result.language,
                    lag_s=max(0.0, now - self._clock.received_at(sent.end_sample)),
                    words=utterance.stabiliser.words,
                    language_probability=result.language_probability,
                )
            )
        ]

    def on_publish_failed(self, window: int, now: float) -> list[Effect]:
        """The window never left: try a newer one after the next interval."""
        if self._in_flight is None or self._in_flight.window != window:
            return []
        # It says nothing about the pool's speed: the lag stays.
        self._clear()
        self._paced_from = now
        return [Dropped("partial", "unpublished")]

    def on_bus_back(self, utterances: Sequence[Utterance]) -> list[Effect]:
        """What was in flight is lost, which says nothing about the pool's speed: send the next window at once."""
        return self._take_back("bus_lost", self._in_flight, utterances) if self._in_flight is not None else []

    def on_worker_gone(self, now: float) -> None:
        """A worker of the pool died, perhaps with what is in flight."""
        if self._in_flight is not None and self._doubted_until is None:
            self._doubted_until = now + _DOUBTED_FOR_S

    def deadline(self, utterances: Sequence[Utterance], now: float) -> float | None:
        """When `settle` has something to do even if no audio comes."""
        if self._in_flight is not None:
            lost_at = self._in_flight.sent_at + _LOST_AFTER_S
            return lost_at if self._doubted_until is None else min(lost_at, self._doubted_until)
        next_at = self._next_at()
        return next_at if utterances and next_at > now else None

    def _next_at(self) -> float:
        return 0.0 if self._paced_from is None else self._paced_from + self._lag.interval_s(self._jitter)

    def _most_news(self, utterances: Sequence[Utterance], scored_sample: int) -> Utterance | None:
        ripe = [
            one
            for one in utterances
            # If the silence lasts, a final is asked for in a moment and must not find the workers busy with this.
            if not one.quiet
            and scored_sample - one.speech_start_sample >= _MIN_SPEECH_SAMPLES
            and scored_sample - one.shown_to_sample >= _MIN_NEWS_SAMPLES
        ]
        return min(ripe, key=lambda one: (one.shown_to_sample, one.segment), default=None)

    def _send(self, utterance: Utterance, end_sample: int, now: float) -> Decode:
        start_s = utterance.stabiliser.window_start_s(
            utterance.start_sample / SAMPLE_RATE_HZ, end_sample / SAMPLE_RATE_HZ
        )
        start_sample = max(utterance.start_sample, round(start_s * SAMPLE_RATE_HZ))
        window = next(self._windows)
        self._in_flight = _InFlight(utterance.segment, window, start_sample, end_sample, now, utterance.shown_to_sample)
        self._paced_from = now
        self._jitter = jitter_of(self._session, window)
        utterance.shown_to_sample = end_sample
        return Decode(
            kind="partial",
            segment=utterance.segment,
            channel=utterance.channel,
            window=window,
            attempt=1,
            start_sample=start_sample,
            end_sample=end_sample,
            language=self._language.current,
            word_times=True,  # agreement and trimming need them, whatever the client wants to see
        )

    def _give_up(self, reason: str, utterances: Sequence[Utterance], now: float) -> list[Effect]:
        assert self._in_flight is not None
        self._lag.on_partial(now - self._in_flight.sent_at, now)
        dropped = self._take_back(reason, self._in_flight, utterances)
        self._paced_from = now
        return dropped

    def _take_back(self, reason: str, sent: _InFlight, utterances: Sequence[Utterance]) -> list[Effect]:
        """No answer will come, for a reason that says nothing about the pool's speed: what was asked is news again."""
        self._clear()
        self._paced_from = None
        for utterance in utterances:
            if utterance.segment == sent.segment:
                utterance.shown_to_sample = sent.shown_before_sample
        return [Dropped("partial", reason)]

    def _clear(self) -> None:
        self._in_flight = self._doubted_until = None
