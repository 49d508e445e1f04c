"""A session in several lives: gateways that die at any moment, a record that remembers, a client that comes back.

Only what a life has stored, and what its client has heard, is known to the next one. Words are numbered, as in `world`.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from bus.contract.client_protocol import ResumeGrant, SessionResume
from bus.contract.records import Record, SegmentRecord, SessionResumed, TranscriptFinal
from bus.contract.work import SAMPLE_RATE_HZ, AsrResult
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES, SegmenterOptions
from stream_gateway.session.config import SessionLimits
from stream_gateway.session.effects import Decode, Effect, Emit, Release, Store
from stream_gateway.session.events import Committed, Ended, Final, Missed, Resumed, SessionEvent
from stream_gateway.session.resumption import Resumption, plan_resumption
from stream_gateway.session.session import Phase, Session
from tests.unit.stream_gateway.session.builders import FRAME_S, QUIET, SPEECH, a_config
from tests.unit.stream_gateway.session.spoken import middle, numbered_words, speech_frames

T = TypeVar("T")
BLOCK_FRAMES = 8
LIMITS = SessionLimits(max_buffered_audio_s=10_000.0, max_session_s=100_000.0, ending_timeout_s=50_000.0)


@dataclass
class Client:
    """Remembers what an SDK remembers."""

    rate_hz: int
    committed: int = 0
    finals: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    is_done: bool = False

    def hear(self, event: SessionEvent) -> None:
        match event:
            case Missed(events):
                for one in events:
                    self.hear(one)
            case Resumed(audio_offset=offset):
                assert offset >= self.committed, "it cannot send what it was told to forget"
                self.committed = offset
            case Committed(sample):
                self.committed = max(self.committed, sample * self.rate_hz // SAMPLE_RATE_HZ)
            case Final(segment=segment, channel=channel, text=text):
                self.finals[channel].append((segment, text))
            case Ended():
                self.is_done = True
            case _:
                pass

    def newest(self, channel: int) -> int:
        return self.finals[channel][-1][0] if self.finals[channel] else 0


class Lives:
    """`run` plays the session to its end, with a death before each of the given shares of its audio."""

    def __init__(
        self, channels: tuple[tuple[tuple[float, float], ...], ...], *, seed: int, rate_hz: int, vad: bool = True
    ) -> None:
        self.random = Random(seed)
        self.frames = [speech_frames(stretches) for stretches in channels]
        self.words = [numbered_words(stretches) for stretches in channels]
        self.end_frame = max(map(len, self.frames))
        self.client = Client(rate_hz)
        self.records: list[Record] = []
        self.now = 0.0
        self.epoch = 0
        self.config = a_config(
            resume=ResumeGrant(token="t", within_s=10_000.0),
            channels=len(channels),
            vad=vad,
            segmenter=SegmenterOptions(max_utterance_s=5.0, cut_search_s=2.0),
        )
        self._be_born()
        self._perform(self.session.on_start(self.config, self.now))

    def _be_born(self, at_frame: int = 0) -> None:
        self.session = Session(limits=LIMITS, now=self.now)
        self.at_frame = at_frame
        self.begin_sample = at_frame * FRAME_SAMPLES
        self.released: dict[int, int] = defaultdict(int)
        self.decodes: list[Decode] = []
        self.stores: list[SegmentRecord] = []
        self.acks: list[SegmentRecord] = []
        self.unheard: list[SessionEvent] = []

    def run(self, *deaths: float) -> None:
        for share in sorted(deaths):
            while self.at_frame < share * self.end_frame:
                self._step()
            for _ in range(self.random.randrange(6)):
                self._let_happen()
            self._die()
        while self.at_frame < self.end_frame:
            self._step()
        self._perform(self.session.on_audio_end(self.now))
        for _ in range(1000):
            if self.session.phase is Phase.CLOSED:
                break
            self._let_happen()
        while self.unheard:
            self._tell()

    def _step(self) -> None:
        first, self.at_frame = self.at_frame, min(self.at_frame + BLOCK_FRAMES, self.end_frame)
        self.now += (self.at_frame - first) * FRAME_S
        self.session.on_audio(self.at_frame * FRAME_SAMPLES, self.now)
        for channel, speech in enumerate(self.frames):
            scores = [
                SPEECH if frame < len(speech) and speech[frame] else QUIET for frame in range(first, self.at_frame)
            ]
            self._perform(self.session.on_scores(channel, scores, self.now))
        self._let_happen()

    def _let_happen(self) -> None:
        """Some of what is under way gets further."""
        self.now += 0.01
        self._perform(self.session.on_time(self.now))
        for decode in self._some(self.decodes):
            self._perform(self.session.on_result(self._decoded(decode), self.now))
        for record in self._some(self.stores):
            self.records.append(record)
            self.acks.append(record)
        for record in self._some(self.acks):
            self._perform(self.session.on_stored(record, self.now, succeeded=True))
        for _ in range(self.random.randrange(len(self.unheard) + 1)):
            self._tell()

    def _some(self, waiting: list[T]) -> list[T]:
        """Take some of these, the oldest first."""
        taken = waiting[: self.random.randrange(len(waiting) + 1)]
        del waiting[: len(taken)]
        return taken

    def _tell(self) -> None:
        self.client.hear(self.unheard.pop(0))

    def _die(self) -> None:
        """Nothing of this life is left but its records; the client comes back with what it has heard."""
        self.epoch += 1
        self.records.append(SessionResumed(tenant="acme", session="s1", epoch=self.epoch))
        client = self.client
        resume = SessionResume(
            session="s1",
            token="t",
            seq=0,
            offset=client.committed,
            segments=tuple(client.newest(channel) for channel in range(len(self.frames))),
        )
        plan = plan_resumption(
            resume, self.records, epoch=self.epoch, channels=len(self.frames), rate_hz=client.rate_hz
        )
        self._check(plan)
        self._be_born(plan.outset.clock_sample // FRAME_SAMPLES)
        self.begin_sample = plan.outset.begin_sample
        self._perform(self.session.on_resume(self.config, plan, self.now))

    def _check(self, plan: Resumption) -> None:
        assert plan.audio_offset >= self.client.committed
        exact = plan.audio_offset * SAMPLE_RATE_HZ / self.client.rate_hz
        assert abs(plan.outset.begin_sample - exact) <= 0.5

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Emit(event):
                    self.unheard.append(event)
                case Decode():
                    assert effect.start_sample >= max(self.begin_sample, self.released[effect.channel])
                    self.decodes.append(effect)
                    self._perform(self.session.on_published(effect, self.now, succeeded=True))
                    self._perform(self.session.on_taken(effect, self.now))
                case Store(record):
                    self.stores.append(record)
                case Release(channel, before_sample):
                    assert before_sample <= self.at_frame * FRAME_SAMPLES, "audio that is not there yet is released"
                    self.released[channel] = before_sample
                case _:
                    pass

    def _decoded(self, decode: Decode) -> AsrResult:
        start = decode.start_sample + decode.prior_samples
        said = [word for word in self.words[decode.channel] if start <= middle(word) < decode.end_sample]
        return AsrResult(
            session="s1",
            segment=decode.segment,
            window=decode.window,
            kind=decode.kind,
            text=" ".join(word.text for word in said),
            words=tuple(said),
            language="en",
            language_probability=0.9,
        )

    def check_outcome(self) -> None:
        assert self.client.is_done
        finals = [record for record in self.records if isinstance(record, TranscriptFinal)]
        assert len({final.segment for final in finals}) == len(finals), "numbers are unique"
        for channel, words in enumerate(self.words):
            here = [final for final in finals if final.channel == channel]
            assert [final.segment for final in here] == sorted(final.segment for final in here)
            assert [final.until_s for final in here] == sorted(final.until_s for final in here)
            assert " ".join(final.text for final in here if final.text).split() == [word.text for word in words]
            assert self.client.finals[channel] == [(final.segment, final.text) for final in here]
