"""All that is said in one session: its channels, their partials and finals, and the audio that these are of. Pure.

The inputs and effects are those of the session machine, which tells what may come in which phase.
"""

from collections.abc import Sequence
from itertools import count

from bus.contract.records import SegmentRecord
from bus.contract.work import SAMPLE_RATE_HZ, AsrResult
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.commits import Commits
from stream_gateway.session.config import SessionConfig
from stream_gateway.session.effects import Decode, Dropped, Effect, Emit
from stream_gateway.session.events import CommitDone
from stream_gateway.session.finals import Finals
from stream_gateway.session.languages import SpokenLanguage
from stream_gateway.session.outset import BEGINNING, Outset
from stream_gateway.session.partials import Partials
from stream_gateway.session.segment_numbers import SegmentNumbers
from stream_gateway.session.track import open_tracks
from stream_gateway.session.utterance import Utterance


class Speech:
    """`settle` is called after every change."""

    def __init__(self, config: SessionConfig, *, now: float, outset: Outset = BEGINNING) -> None:
        self._clock = AudioClock(outset.clock_sample, now)
        windows = count(outset.first_window)
        self._language = language = SpokenLanguage(config.language or outset.language)
        last = [outset.channel(channel).last_segment for channel in range(config.channels)]
        self._numbers = SegmentNumbers(last=last, recorded=outset.recorded)
        self._finals = Finals(config=config, windows=windows, clock=self._clock, language=language)
        self._partials: Partials | None = None
        if config.partials and config.channels:
            self._partials = Partials(
                session=config.session,
                windows=windows,
                clock=self._clock,
                language=language,
                task=config.task,
                lag=config.pool.lag,
            )
        self._tracks = open_tracks(config, finals=self._finals, numbers=self._numbers, outset=outset)
        self._commits = Commits(self._clock, begin_sample=outset.begin_sample)

    @property
    def finals_owed(self) -> int:
        """Utterances that are over, or may be, and are not stored."""
        return len(self._finals)

    @property
    def segments(self) -> int:
        """The highest number of an utterance."""
        return self._numbers.highest

    @property
    def received_s(self) -> float:
        """How much audio there was, in seconds from the session's first sample."""
        return self._clock.received_sample / SAMPLE_RATE_HZ

    @property
    def held_s(self) -> float:
        """Audio that is neither stored nor known to be silent."""
        return (self._clock.received_sample - self._commits.committed_sample) / SAMPLE_RATE_HZ

    def on_audio(self, end_sample: int, now: float) -> None:
        """Audio up to `end_sample` of every channel was received."""
        self._clock.on_audio(end_sample, now)

    def on_scores(self, channel: int, scores: Sequence[float], now: float) -> list[Effect]:
        """Speech probabilities of the next frames of `channel`."""
        return self._tracks[channel].on_scores(scores, now)

    def scored_sample(self, channel: int) -> int:
        """Where the next score of `channel` begins."""
        return self._tracks[channel].scored_sample

    def configure(self, config: SessionConfig) -> list[Effect]:
        """From here on audio is heard as `config` has it: its language, and how utterances are found."""
        self._language.request(config.language)
        effects: list[Effect] = []
        for track in self._tracks:
            effects += track.configure(config.segmenter, config.endpoint, vad=config.vad)
        return effects

    def commit(self, now: float) -> list[Effect]:
        """The client ends the open utterance of each channel here, if there is one."""
        effects: list[Effect] = []
        for track in self._tracks:
            effects += track.commit(self._clock.received_sample, now)
        self._commits.on_commit(self.segments)
        return [*effects, Emit(CommitDone(bool(effects)))]

    def clear(self, now: float) -> list[Effect]:
        """The client takes back the audio since its last turn ended."""
        effects: list[Effect] = []
        for track in self._tracks:
            effects += track.clear(self._clock.received_sample, now)
        return effects

    def flush(self, now: float) -> list[Effect]:
        """No audio follows: open utterances end."""
        effects: list[Effect] = []
        for track in self._tracks:
            effects += track.flush(self._clock.received_sample, now)
        return effects

    def stop_partials(self) -> None:
        """Nobody looks."""
        self._partials = None

    def on_result(self, result: AsrResult, now: float) -> list[Effect]:
        """A worker answered."""
        effects: list[Effect] = []
        if result.kind == "final":
            effects = self._finals.on_result(result, now)
        elif self._partials:
            effects = self._partials.on_result(result, self._utterances(), now)
        for track in self._tracks:
            track.on_heard()
        return effects

    def on_published(self, decode: Decode, now: float, *, succeeded: bool) -> list[Effect]:
        """A `Decode` was accepted by the broker, or was not."""
        if decode.hedge:  # nothing is owed to it: what is due of the first attempt stays due
            return [] if succeeded else [Dropped("hedge", "unpublished")]
        if decode.kind == "final" and succeeded:
            self._finals.on_published(decode.segment, decode.window, now)
        elif decode.kind == "final":
            return self._finals.on_publish_failed(decode.segment, decode.window, now)
        elif self._partials and not succeeded:
            return self._partials.on_publish_failed(decode.window, now)
        return []

    def on_taken(self, decode: Decode, now: float, *, is_done: bool) -> list[Effect]:
        """A worker has the window of a `Decode`, or is done with it: then its answer is here, or was lost."""
        if decode.kind == "final" and is_done:
            return self._finals.on_done(decode.segment, decode.window, decode.attempt, now)
        if decode.kind == "final" and not decode.hedge:
            self._finals.on_taken(decode.segment, decode.window, now)
        return []

    def on_noticed(self, segment: int, window: int, now: float, *, held: bool) -> None:
        """A worker says that it has a final, or is gone and has it no more."""
        self._finals.on_noticed(segment, window, now, held=held)

    def on_stored(self, record: SegmentRecord, now: float, *, succeeded: bool) -> list[Effect]:
        """A `Store` was acknowledged, or was not."""
        if not succeeded:
            self._finals.on_store_failed(record.segment, now)
            return []
        self._commits.on_stored()
        return self._finals.on_stored(record.segment, now)

    def on_bus_back(self, now: float) -> list[Effect]:
        """What the broker may have lost is due again."""
        self._finals.on_bus_back(now)
        return self._partials.on_bus_back(self._utterances()) if self._partials else []

    def on_worker_gone(self, now: float) -> None:
        """A worker died, perhaps with something of this session."""
        if self._partials:
            self._partials.on_worker_gone(now)

    def settle(self, now: float, *, workers_alive: bool, partials: bool, awaited: bool) -> list[Effect]:
        """Ask for what is due, store what is ready. `awaited`: what is said is answered."""
        effects = self._finals.settle(now, workers_alive=workers_alive, awaited=awaited)
        if partials and self._partials:
            scored_sample = min(track.scored_sample for track in self._tracks)
            effects += self._partials.settle(self._utterances(), scored_sample, now)
        return effects

    def settle_audio(self, *, done: bool) -> list[Effect]:
        """Release audio, and tell the client what it may forget; all that was scored if the session is `done`."""
        return self._commits.settle(self._tracks, self._finals.first_segment_owed, done=done)

    def deadline(self, now: float, *, partials: bool) -> float | None:
        """When to call `settle` next."""
        times = [self._finals.deadline()]
        if partials and self._partials:
            times.append(self._partials.deadline(self._utterances(), now))
        return min((time for time in times if time is not None), default=None)

    def _utterances(self) -> list[Utterance]:
        return [track.utterance for track in self._tracks if track.utterance is not None]
