"""Finals alone, with a clock and what the broker and a worker do for them."""

from itertools import count

from bus.contract.work import Task
from stream_gateway.policy.cadence import PoolLag
from stream_gateway.policy.haste import Haste
from stream_gateway.policy.hedging import HedgeOptions, Hedging
from stream_gateway.policy.pool import Pool
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.config import RetryOptions
from stream_gateway.session.effects import Decode, Effect, Store
from stream_gateway.session.finals import Finals
from stream_gateway.session.languages import SpokenLanguage
from tests.unit.stream_gateway.session.builders import a_config, a_final_window, of_type, samples

RETRY = RetryOptions(deadline_s=12.0, max_misses=3, backoff_s=0.25, max_backoff_s=2.0)


class FinalsDesk:
    """Finals with a clock: audio arrives in real time from wall time 0."""

    def __init__(
        self,
        *,
        language: str | None = None,
        word_times: bool = True,
        task: Task = "transcribe",
        follow_partials: bool = True,
        partials: bool = True,
    ) -> None:
        clock = AudioClock()
        for tenth in range(1, 301):
            clock.on_audio(samples(tenth / 10), tenth / 10)
        self.language = SpokenLanguage(language)
        self.lag = PoolLag()
        self.hedging = Hedging(HedgeOptions(unknown_s=5.0, min_answers=2, burst=1.0))
        self.haste = Haste()
        self.finals = Finals(
            config=a_config(
                retry=RETRY,
                word_times=word_times,
                task=task,
                pool=Pool(lag=self.lag, hedging=self.hedging, haste=self.haste),
                follow_partials=follow_partials,
                partials=partials,
            ),
            windows=count(1),
            clock=clock,
            language=self.language,
        )
        self.workers_alive = True
        self.awaited = False
        """An answer begins with what is said."""

    def settle(self, now: float) -> list[Effect]:
        return self.finals.settle(now, workers_alive=self.workers_alive, awaited=self.awaited)

    def decode(self, now: float) -> Decode:
        """The one request that is due."""
        (decode,) = of_type(self.settle(now), Decode)
        return decode

    def stored(self, now: float) -> Store:
        """The one record that is due."""
        (store,) = of_type(self.settle(now), Store)
        return store

    def published(self, segment: int = 1, *, channel: int = 0, start_s: float = 1.0, now: float = 3.6) -> Decode:
        """A confirmed job that a worker has."""
        window = a_final_window(segment, channel=channel, start_s=start_s, end_s=start_s + 2.0)
        self.finals.confirm(window, now)
        decode = self.decode(now)
        self.take(decode, now)
        return decode

    def done(self, decode: Decode, now: float) -> list[Effect]:
        """A worker has told the broker, a while ago, that it is done with this attempt."""
        return self.finals.on_done(decode.segment, decode.window, decode.attempt, now)

    def take(self, decode: Decode, now: float) -> None:
        """The broker gets a request and a worker takes it at once, and says so."""
        self.finals.on_published(decode.segment, decode.window, now)
        self.finals.on_noticed(decode.segment, decode.window, now, held=True)
