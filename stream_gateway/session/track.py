"""One transcribed channel of a session: its segmenter and the utterance that is open on it, if any."""

from collections.abc import Sequence
from typing import assert_never

from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.policy.cadence import PoolLag
from stream_gateway.policy.endpoint import EndpointOptions, endpoint_wait_s
from stream_gateway.segmentation.manual import ManualSegmenter
from stream_gateway.segmentation.segmenter import (
    FRAME_SAMPLES,
    Handover,
    Segmenter,
    SegmenterOptions,
    SegmentEvent,
    SpeechResumed,
    TentativeEnd,
    UtteranceCleared,
    UtteranceEnded,
    UtteranceStarted,
)
from stream_gateway.session.config import SessionConfig
from stream_gateway.session.effects import Effect, Emit
from stream_gateway.session.events import SpeechCleared, SpeechEnded, SpeechStarted
from stream_gateway.session.finals import Finals
from stream_gateway.session.outset import BEGINNING, Outset
from stream_gateway.session.segment_numbers import SegmentNumbers
from stream_gateway.session.utterance import FinalWindow, Utterance

_RELEASE_STEP_SAMPLES = SAMPLE_RATE_HZ // 4
_UNHEARD_SAMPLES = SAMPLE_RATE_HZ // 8
"""A partial whose window ends further before the end of speech than this does not know the last word."""


def open_tracks(
    config: SessionConfig, *, finals: Finals, numbers: SegmentNumbers, outset: Outset
) -> tuple["Track", ...]:
    """One for each channel of the session."""
    return tuple(
        Track(
            channel=channel,
            options=config.segmenter,
            endpoint=config.endpoint,
            lag=config.pool.lag,
            finals=finals,
            numbers=numbers,
            outset=outset,
            vad=config.vad,
        )
        for channel in range(config.channels)
    )


class Track:
    """Turns the frame scores of one channel into utterances, and those into final windows."""

    def __init__(
        self,
        *,
        channel: int,
        options: SegmenterOptions,
        endpoint: EndpointOptions,
        lag: PoolLag,
        finals: Finals,
        numbers: SegmentNumbers,
        outset: Outset = BEGINNING,
        vad: bool = True,
    ) -> None:
        """Without `vad` the scores are loudness, and everything is speech."""
        self.channel = channel
        self.utterance: Utterance | None = None
        self.scored_sample = outset.clock_sample
        """Where the next score begins."""
        self._deaf_before_sample = outset.channel(channel).heard_sample
        self._follow(options, endpoint, vad=vad)
        self._segmenter.take_over(Handover(now_sample=outset.clock_sample, free_from_sample=self._deaf_before_sample))
        self._lag = lag
        self._speech_end_sample = 0  # of an utterance that is pausing
        self._finals = finals
        self._numbers = numbers
        self._released_sample = outset.clock_sample

    @property
    def settled_before(self) -> int:
        """Audio before this sample is stored as text or held no speech."""
        quiet_before = self._quiet_before
        if not len(self._finals):
            return quiet_before
        owed = self._finals.first_sample_owed(self.channel)
        return quiet_before if owed is None else min(quiet_before, owed)

    def releasable(self) -> int | None:
        """The sample before which audio may be dropped, if it moved on enough to be worth telling."""
        settled = self._finals.keep_from(self.channel, self.settled_before, self._quiet_before)
        if settled - self._released_sample < _RELEASE_STEP_SAMPLES:
            return None
        self._released_sample = settled
        return settled

    def on_scores(self, scores: Sequence[float], now: float) -> list[Effect]:
        """Take the speech probabilities of the next frames."""
        scores = self._audible(scores)
        self.scored_sample += len(scores) * FRAME_SAMPLES
        self._segmenter.set_tentative(
            self._lag.tentative_wait_s(tentative_s=self._tentative_s, endpoint_s=self._endpoint_s)
        )
        effects = self._take(self._segmenter.on_scores(scores), now)
        if self.utterance is not None:
            self.utterance.quiet = self._segmenter.is_quiet
        return effects

    def configure(self, options: SegmenterOptions, endpoint: EndpointOptions, *, vad: bool) -> list[Effect]:
        """From here on utterances are found by other rules. One that is open goes on, and ends by these.

        But what was open without speech detection is taken back: the next scores are those from `scored_sample` on.
        """
        if (options, endpoint, vad) == self._rules:
            return []
        left, utterance = self._segmenter.hand_over(), self.utterance
        self._follow(options, endpoint, vad=vad)
        self._segmenter.take_over(left)
        self.scored_sample = left.now_sample
        if utterance is None:
            return []
        if not left.is_open:
            return self._drop()
        utterance.pausing = False
        return self._finals.withdraw(utterance.segment)

    def on_heard(self) -> None:
        """More may be known of what was said: a pause is as long as fits it. Call it when an answer was taken."""
        utterance = self.utterance
        if utterance is None or not utterance.pausing:
            return
        heard = self._finals.heard(utterance.segment) or utterance.heard
        if heard is None or heard.end_sample < self._speech_end_sample - _UNHEARD_SAMPLES:
            return
        wait_s = endpoint_wait_s(heard.text, language=heard.language, base_s=self._endpoint_s, options=self._endpoint)
        self._segmenter.set_endpoint(wait_s)

    def commit(self, received_sample: int, now: float) -> list[Effect]:
        """The client ends its turn here."""
        return self._take(self._segmenter.commit(received_sample), now)

    def clear(self, received_sample: int, now: float) -> list[Effect]:
        """The client takes back what it said since its last turn ended: an open utterance gets no final."""
        return self._take(self._segmenter.clear(received_sample), now)

    def flush(self, received_sample: int, now: float) -> list[Effect]:
        """No more audio: an open utterance ends here, with the half frame that was never scored.

        Whole frames whose scores are still under way were heard by nobody: they stay outside, and are not settled.
        """
        if received_sample - self.scored_sample < FRAME_SAMPLES:
            self.scored_sample = received_sample
        return self._take(self._segmenter.flush(self.scored_sample), now)

    def _follow(self, options: SegmenterOptions, endpoint: EndpointOptions, *, vad: bool) -> None:
        self._rules = (options, endpoint, vad)
        self._segmenter: Segmenter | ManualSegmenter = Segmenter(options) if vad else ManualSegmenter(options)
        self._endpoint = endpoint
        self._endpoint_s = options.endpoint_s
        self._tentative_s = options.tentative_s

    def _audible(self, scores: Sequence[float]) -> Sequence[float]:
        """Frames that begin before what is accounted for count as silence."""
        unheard_samples = self._deaf_before_sample - self.scored_sample
        if unheard_samples <= 0:
            return scores
        deaf = min(len(scores), -(-unheard_samples // FRAME_SAMPLES))
        return [0.0] * deaf + list(scores[deaf:])

    def _take(self, events: Sequence[SegmentEvent], now: float) -> list[Effect]:
        effects: list[Effect] = []
        for event in events:
            match event:
                case UtteranceStarted():
                    effects.append(self._open(event))
                case TentativeEnd():
                    self._utterance.pausing = True
                    self._finals.propose(self._window(event.end_sample, event.speech_end_sample), now)
                    self._speech_end_sample = event.speech_end_sample
                case SpeechResumed():
                    self._utterance.pausing = False
                    effects += self._finals.withdraw(self._utterance.segment)
                case UtteranceEnded():
                    effects.append(self._close(event, now))
                case UtteranceCleared():
                    effects += self._drop()
                case _:
                    assert_never(event)
        if events:
            self.on_heard()
        return effects

    def _open(self, event: UtteranceStarted) -> Effect:
        utterance = Utterance(
            segment=self._numbers.next(self.channel),
            channel=self.channel,
            start_sample=event.start_sample,
            speech_start_sample=event.speech_start_sample,
        )
        self.utterance = utterance
        return Emit(SpeechStarted(utterance.segment, self.channel, event.speech_start_sample / SAMPLE_RATE_HZ))

    def _close(self, event: UtteranceEnded, now: float) -> Effect:
        window = self._window(event.end_sample, event.speech_end_sample)
        self._finals.confirm(window, now)
        self.utterance = None
        end_s = event.speech_end_sample / SAMPLE_RATE_HZ
        return Emit(SpeechEnded(window.segment, self.channel, end_s, event.reason))

    def _drop(self) -> list[Effect]:
        segment, self.utterance = self._utterance.segment, None
        return [*self._finals.withdraw(segment), Emit(SpeechCleared(segment, self.channel))]

    def _window(self, end_sample: int, speech_end_sample: int) -> FinalWindow:
        utterance = self._utterance
        draft, draft_end_s = utterance.stabiliser.stable_until(end_sample / SAMPLE_RATE_HZ)
        return FinalWindow(
            segment=utterance.segment,
            channel=self.channel,
            start_sample=utterance.start_sample,
            end_sample=end_sample,
            speech_start_sample=utterance.speech_start_sample,
            speech_end_sample=speech_end_sample,
            draft=draft,
            draft_end_sample=round(draft_end_s * SAMPLE_RATE_HZ),
        )

    @property
    def _quiet_before(self) -> int:
        """As the segmenter has it, but for audio that is accounted for and not there yet."""
        if self.scored_sample < self._deaf_before_sample:
            return self.scored_sample
        return self._segmenter.quiet_before

    @property
    def _utterance(self) -> Utterance:
        assert self.utterance is not None, "the segmenter reports on an utterance it did not start"
        return self.utterance
