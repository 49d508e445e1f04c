"""A simulated world around one session: people who speak, a broker and workers that fail, and only virtual time.

`World.run` plays a `Trouble` to its end and checks what must hold at every moment; `check_outcome` what must hold at
the end. Words are numbered, and a window holds those whose middle lies in it: so a word that is lost or doubled shows.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from random import Random
from typing import Literal, assert_never

from bus.contract.client_protocol import EndpointMode
from bus.contract.errors import ClientTooSlow
from bus.contract.records import SegmentFailed, SegmentRecord, record_id
from bus.contract.work import MAX_WINDOW_S, SAMPLE_RATE_HZ, AsrResult, Failure, Word
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.policy.hedging import HedgeOptions, Hedging
from stream_gateway.policy.pool import Pool
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES, SegmenterOptions
from stream_gateway.session.config import RetryOptions, SessionLimits
from stream_gateway.session.effects import Cancel, Close, Decode, Dropped, Effect, Emit, Release, Store
from stream_gateway.session.events import Committed, Ended, Failed, Final, Partial, SpeechEnded, SpeechStarted
from stream_gateway.session.session import Phase, Session
from tests.unit.stream_gateway.session.builders import FRAME_S, QUIET, SPEECH, a_config, samples
from tests.unit.stream_gateway.session.spoken import WORD_S, middle, numbered_words, speech_frames

BLOCK_FRAMES = 8
LOST_PARTIAL_S = 4.0
RETRY = RetryOptions(deadline_s=3.0)
SETTLES_WITHIN_S = 30.0
"""How long after the last trouble finals may be owed: two last tries of 12 s, one behind the other, and back-offs."""
Ending = Literal["audio_end", "gone", "drain", "fault", "too_long"]


@dataclass(frozen=True)
class Outage:
    starts_s: float
    lasts_s: float
    forgets: bool = False
    """The broker comes back without the work it held."""


@dataclass(frozen=True)
class Trouble:
    """What happens to a session. Chances are per message, until `lasts_s`; after that all goes well."""

    channels: tuple[tuple[tuple[float, float], ...], ...]
    """For each channel stretches of (speech, silence) in seconds."""
    seed: int
    lasts_s: float = 0.0
    lost: float = 0.0
    doubled: float = 0.0
    failing: float = 0.0
    publish_fails: float = 0.0
    store_fails: float = 0.0
    slowest_s: float = 0.2
    endpoint_mode: EndpointMode = "fixed"
    workers: int = 1
    """With two, finals are hedged."""
    bus_outages: tuple[Outage, ...] = ()
    worker_outages: tuple[Outage, ...] = ()
    ending: Ending = "audio_end"
    ends_at: float = 1.0
    """Share of the audio after which anything but `audio_end` happens."""


@dataclass
class Broker:
    stored: dict[str, SegmentRecord] = field(default_factory=dict)
    seen: set[tuple[int, int]] = field(default_factory=set)
    waiting: list[Decode] = field(default_factory=list)
    bus_is_up: bool = True
    workers_alive: bool = True


class World:
    """Plays the shell, the broker, the workers and the client of one session."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.random = Random(trouble.seed)
        self.now = 0.0
        self.broker = Broker()
        self.frames = [speech_frames(stretches) for stretches in trouble.channels]
        self.audio_frames = max(map(len, self.frames))
        self.audio_s = self.audio_frames * FRAME_S
        self.words = [numbered_words(stretches) for stretches in trouble.channels]
        self.scored_sample = [0] * len(trouble.channels)
        self.ends_s = self.audio_s * trouble.ends_at if trouble.ending != "audio_end" else self.audio_s
        limits = SessionLimits(
            max_session_s=max(0.1, self.ends_s) if trouble.ending == "too_long" else 10_000.0, ending_timeout_s=5_000.0
        )
        self.session = Session(limits=limits, now=0.0)
        self.windows: dict[int, Decode] = {}
        self.hedging = Hedging(HedgeOptions(unknown_s=1.0))
        self.hedging.on_workers({f"w{number}" for number in range(trouble.workers)})
        self.cancelled: set[int] = set()
        self.released: dict[int, int] = defaultdict(int)
        self.committed = 0
        self.partial_in_flight: tuple[int, float] | None = None
        self.stable: dict[int, str] = defaultdict(str)
        self.opened: set[int] = set()
        self.speech_ended: set[int] = set()
        self.settled: list[int] = []
        self.is_ended = False
        self.close: Close | None = None
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    # --- time

    def run(self) -> None:
        config = a_config(
            retry=RETRY,
            partials=True,
            channels=len(self.frames),
            segmenter=SegmenterOptions(max_utterance_s=5.0, cut_search_s=2.0),
            endpoint=EndpointOptions(mode=self.trouble.endpoint_mode),
            pool=Pool(hedging=self.hedging),
        )
        self.perform(self.session.on_start(config, self.now))
        self._plan()
        for _ in range(20_000):
            if self.session.phase is Phase.CLOSED:
                return
            self._step()
        raise AssertionError("the session does not come to an end")

    def at(self, time: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (max(time, self.now), next(self._order), act))

    def _step(self) -> None:
        deadline = self.session.deadline(self.now)
        assert deadline is not None, "an open session always has a deadline"
        if self._agenda and self._agenda[0][0] <= deadline:
            self.now, _, act = heapq.heappop(self._agenda)
            act()
            return
        self.now = max(self.now, deadline)
        self.perform(self.session.on_time(self.now))
        after = self.session.deadline(self.now)
        assert after is None or after > self.now, "on_time at its deadline must make progress"

    def _plan(self) -> None:
        for first in range(0, self.audio_frames, BLOCK_FRAMES):
            end = min(first + BLOCK_FRAMES, self.audio_frames)
            self.at(end * FRAME_S, partial(self._hear, first, end))
        match self.trouble.ending:
            case "audio_end":
                # After the last scores, like a reader that takes one frame after the other.
                self.at(self.audio_s + 0.1, lambda: self.perform(self.session.on_audio_end(self.now)))
            case "gone":
                self.at(self.ends_s, lambda: self.perform(self.session.on_gone(self.now)))
            case "drain":
                self.at(self.ends_s / 2, lambda: self.perform(self.session.on_drain(self.ends_s / 2, self.now)))
            case "fault":
                error = ClientTooSlow("too many events wait")
                self.at(self.ends_s, lambda: self.perform(self.session.on_fault(error, self.now, fatal=True)))
            case "too_long":
                pass  # the session's own clock does it
            case _:
                assert_never(self.trouble.ending)
        for outage in self.trouble.bus_outages:
            self.at(outage.starts_s, partial(self._bus, up=False, forgets=outage.forgets))
            self.at(outage.starts_s + outage.lasts_s, partial(self._bus, up=True))
        for outage in self.trouble.worker_outages:
            self.at(outage.starts_s, partial(self._workers, alive=False))
            self.at(outage.starts_s + outage.lasts_s, partial(self._workers, alive=True))

    def _happens(self, chance: float) -> bool:
        return self.now < self.trouble.lasts_s and self.random.random() < chance

    # --- audio, bus and workers

    def _hear(self, first: int, end: int) -> None:
        if not self.session.accepts_audio:
            return
        self.session.on_audio(end * FRAME_SAMPLES, self.now)
        for channel in range(len(self.frames)):
            self.at(self.now + 0.01 + channel * 0.02, partial(self._score, channel, first, end))

    def _score(self, channel: int, first: int, end: int) -> None:
        if self.session.accepts_audio:
            self.scored_sample[channel] = end * FRAME_SAMPLES
        speech = self.frames[channel]
        scores = [SPEECH if frame < len(speech) and speech[frame] else QUIET for frame in range(first, end)]
        self.perform(self.session.on_scores(channel, scores, self.now))

    def _bus(self, *, up: bool, forgets: bool = False) -> None:
        self.broker.bus_is_up = up
        if forgets:
            self.broker.waiting.clear()
            self.broker.seen.clear()
        if up:
            self.partial_in_flight = None  # the session counts it as lost with the connection
        self.perform(self.session.on_bus(self.now, connected=up))

    def _workers(self, *, alive: bool) -> None:
        self.broker.workers_alive = alive
        self.perform(self.session.on_workers(self.now, alive=alive))
        waiting, self.broker.waiting = self.broker.waiting, []
        for decode in waiting:
            self._work(decode)

    def _publish(self, decode: Decode) -> None:
        fails = not self.broker.bus_is_up or self._happens(self.trouble.publish_fails)
        arrives = self.broker.bus_is_up and not (fails and self.random.random() < 0.5)
        if arrives and (decode.window, decode.attempt) not in self.broker.seen:
            self.broker.seen.add((decode.window, decode.attempt))
            self._work(decode)
        report = partial(self._on_published, decode, succeeded=not fails)
        self.at(self.now + (self.random.uniform(0.0, 2.0) if fails else 0.002), report)

    def _on_published(self, decode: Decode, *, succeeded: bool) -> None:
        if not succeeded and self.partial_in_flight and self.partial_in_flight[0] == decode.window:
            self.partial_in_flight = None
        self.perform(self.session.on_published(decode, self.now, succeeded=succeeded))
        if succeeded:
            self.at(self.now + self.random.uniform(0.0, 1.0), partial(self._read_queue, decode))

    def _read_queue(self, decode: Decode, *, is_done: bool = False) -> None:
        if self.broker.bus_is_up and decode not in self.broker.waiting:
            self.perform(self.session.on_taken(decode, self.now, is_done=is_done))
        elif self.session.phase is not Phase.CLOSED:
            self.at(self.now + 1.0, partial(self._read_queue, decode, is_done=is_done))

    def _work(self, decode: Decode) -> None:
        self.at(self.now + self.random.uniform(0.02, self.trouble.slowest_s), partial(self._finish_work, decode))

    def _finish_work(self, decode: Decode) -> None:
        if not self.broker.workers_alive:
            self.broker.waiting.append(decode)
        elif decode.window in self.cancelled:
            pass  # a worker that was told in time
        elif self.broker.bus_is_up:
            self.at(self.now + self.random.uniform(1.0, 2.0), partial(self._read_queue, decode, is_done=True))
            if self._happens(self.trouble.lost):
                return
            result = self.decode(decode)
            self._deliver(result)
            if self._happens(self.trouble.doubled):
                self.at(self.now + self.random.uniform(0.0, 20.0), partial(self._deliver, result))

    def _deliver(self, result: AsrResult) -> None:
        if self.partial_in_flight and self.partial_in_flight[0] == result.window:
            self.partial_in_flight = None
        self.perform(self.session.on_result(result, self.now))

    def decode(self, decode: Decode) -> AsrResult:
        words = self.said(decode.channel, own_start(decode), decode.end_sample)
        failure = Failure("decode_failed", "bad window") if self._happens(self.trouble.failing) else None
        return AsrResult(
            session="s1",
            segment=decode.segment,
            window=decode.window,
            kind=decode.kind,
            text=" ".join(word.text for word in words),
            words=tuple(words),
            language="en",
            language_probability=0.9,
            model=f"decode {next(self._order)}",  # no two decodes give quite the same
            failure=failure,
        )

    def said(self, channel: int, start_sample: int, end_sample: int) -> list[Word]:
        return [word for word in self.words[channel] if start_sample <= middle(word) < end_sample]

    def _store(self, record: SegmentRecord) -> None:
        fails = not self.broker.bus_is_up or self._happens(self.trouble.store_fails)
        arrives = self.broker.bus_is_up and not (fails and self.random.random() < 0.5)
        if arrives:
            first = self.broker.stored.setdefault(record_id(record.session, record.segment), record)
            assert first == record, "a repeated store must not change the record"
        report = partial(self._on_stored, record, succeeded=not fails)
        self.at(self.now + (self.random.uniform(0.0, 2.0) if fails else 0.002), report)

    def _on_stored(self, record: SegmentRecord, *, succeeded: bool) -> None:
        self.perform(self.session.on_stored(record, self.now, succeeded=succeeded))

    # --- what must hold at every moment

    def perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Emit(event):
                    assert self.close is None, "nothing is emitted after Close"
                    assert not self.is_ended, "nothing is emitted after Ended"
                    self._see(event)
                case Decode():
                    self._check_window(effect)
                    self.at(self.now + 0.001, partial(self._publish, effect))
                case Store(record):
                    self.at(self.now + 0.001, partial(self._store, record))
                case Cancel(window=window):
                    self.cancelled.add(window)
                case Release(channel, before_sample):
                    assert before_sample > self.released[channel]
                    self.released[channel] = before_sample
                case Close():
                    assert self.close is None
                    self.close = effect
                case Dropped(what, reason):
                    assert (what, reason) != ("final", "overdue")
                case _:
                    raise AssertionError(f"nobody chats here: {type(effect).__name__}")

    def _check_window(self, decode: Decode) -> None:
        assert decode.start_sample >= self.released[decode.channel], "released audio is asked for"
        assert 0 < decode.end_sample - decode.start_sample <= MAX_WINDOW_S * SAMPLE_RATE_HZ
        assert decode.end_sample <= self.scored_sample[decode.channel]
        if decode.kind == "final":
            self._check_prior(decode)
            self.windows[decode.segment] = decode
            return
        if self.partial_in_flight is not None:
            assert self.now >= self.partial_in_flight[1] + LOST_PARTIAL_S, "two partials in flight"
        self.partial_in_flight = (decode.window, self.now)

    def _check_prior(self, decode: Decode) -> None:
        known = self.said(decode.channel, decode.start_sample, own_start(decode))
        assert decode.prior_text == " ".join(word.text for word in known), "what was said before is not what was said"

    def _see(self, event: object) -> None:
        match event:
            case SpeechStarted(segment=segment):
                assert segment not in self.opened
                self.opened.add(segment)
            case SpeechEnded(segment=segment):
                assert segment in self.opened - self.speech_ended
                self.speech_ended.add(segment)
            case Partial(segment=segment, stable=stable, text=text):
                assert segment in self.opened - self.speech_ended
                assert stable.startswith(self.stable[segment])
                assert text.startswith(stable)
                self.stable[segment] = stable
            case Final(segment=segment) | Failed(segment=segment):
                assert segment in self.speech_ended
                assert segment not in self.settled
                assert record_id("s1", segment) in self.broker.stored, "shown before it was stored"
                self.settled.append(segment)
            case Committed(sample=sample):
                assert sample > self.committed
                self.committed = sample
                self._check_committed(sample)
            case Ended():
                self.is_ended = True

    def _check_committed(self, sample: int) -> None:
        assert sample <= min(self.scored_sample)
        for channel in range(len(self.words)):
            stored = self.stored_windows(channel)
            for word in self.said(channel, 0, sample - samples(WORD_S)):
                assert any(own_start(one) <= middle(word) < one.end_sample for one in stored), "committed, not stored"

    def stored_windows(self, channel: int) -> list[Decode]:
        """The windows of what is stored, in the order of storing."""
        records = [record for record in self.broker.stored.values() if record.channel == channel]
        return [self.windows[record.segment] for record in records]

    # --- what must hold at the end

    def check_outcome(self) -> None:
        for channel in range(len(self.words)):
            windows = self.stored_windows(channel)
            assert all(one.segment < other.segment for one, other in pairwise(windows)), "stored out of order"
            assert all(one.end_sample <= own_start(other) for one, other in pairwise(windows)), "audio stored twice"
            heard = self.said(channel, 0, self.scored_sample[channel] - samples(WORD_S))
            for word in heard:
                assert any(own_start(one) <= middle(word) < one.end_sample for one in windows), "a word was lost"
        for record in self.broker.stored.values():
            window = self.windows[record.segment]
            if not isinstance(record, SegmentFailed):
                spoken = self.said(record.channel, own_start(window), window.end_sample)
                assert record.text == " ".join(word.text for word in spoken)
            elif not (self.trouble.lost or self.trouble.failing or self.trouble.bus_outages or self._may_be_late()):
                raise AssertionError("a segment failed though no answer was lost")
        stored = {record.segment for record in self.broker.stored.values()}
        assert self.opened <= stored, "an utterance without a record"
        if self.trouble.ending != "fault":
            assert self.opened == set(self.settled) == stored
            assert self.is_ended
            assert self.committed == min(self.scored_sample)
        assert self.close is not None
        outages = [*self.trouble.bus_outages, *self.trouble.worker_outages]
        calm_s = max([self.trouble.lasts_s, self.ends_s, *(one.starts_s + one.lasts_s for one in outages)])
        assert self.now <= calm_s + self.trouble.slowest_s + SETTLES_WITHIN_S, "the end took too long"

    def _may_be_late(self) -> bool:
        """Whether an answer may take longer than all tries together: a worker that comes back begins anew."""
        outages = self.trouble.worker_outages
        longest_s = self.trouble.slowest_s * (1 + len(outages)) + sum(outage.lasts_s for outage in outages)
        return longest_s > RETRY.deadline_s * RETRY.max_misses


def own_start(decode: Decode) -> int:
    return decode.start_sample + decode.prior_samples
