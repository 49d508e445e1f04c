"""Speech scores in, utterances out. Pure; the only clock is the count of samples.

Theory of operation
-------------------
One score covers one frame of 512 samples. Two thresholds give hysteresis: speech begins at `threshold`, and quiet
begins below `release_threshold`; once quiet has begun only `threshold` ends it. An utterance is in one of four states:

    IDLE       nobody speaks
    CANDIDATE  frames score as speech, too few yet to be an utterance
    SPEAKING   an utterance is open
    QUIET      an utterance is open, but its speaker has stopped: after `tentative_s` a TentativeEnd lets the decoder
               begin, after `endpoint_s` the utterance ends, or after what `set_endpoint` says of this silence. A
               TentativeEnd that stays the last event before the UtteranceEnded has the same `end_sample`, so what was
               decoded early is exactly what would be decoded now.

Utterances are ordered and never share a sample: the pre-roll stops where the previous utterance ended.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, TypeAlias

from stream_gateway.segmentation.cut import quietest_frame

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterOptions:
    """When an utterance begins and ends. ValueError if the values contradict one another."""

    threshold: float = 0.5
    """Score from which a frame is speech."""
    release_threshold: float | None = None
    """Score below which quiet begins. None: 0.15 under `threshold`, and at least half of it."""
    start_s: float = 0.064
    """Speech in a row that makes an utterance; what is shorter is a click."""
    pre_roll_s: float = 0.45
    """Audio before the first speech frame that belongs to the utterance: scores rise late on soft onsets, and the
    decoder needs a moment of room (0.3 s costs half a point of word error rate against 0.45 s; more gains nothing)."""
    tentative_s: float = 0.16
    """Quiet after which the decoder may begin. Of 100 times it begins, speech resumes 29 times (17 times at 0.2 s)."""
    endpoint_s: float = 0.5
    """Quiet that ends the utterance."""
    post_roll_s: float = 0.16
    """Audio after the last speech frame that belongs to the utterance."""
    max_utterance_s: float = 25.0
    """Longest window, pre-roll and post-roll included."""
    cut_search_s: float = 10.0
    """How far back from the maximum a pause is looked for."""

    def __post_init__(self) -> None:
        if not 0 < self.release <= self.threshold < 1:
            raise ValueError("thresholds must satisfy 0 < release_threshold <= threshold < 1")
        if not 0 <= self.post_roll_s <= self.tentative_s <= self.endpoint_s:
            raise ValueError("silences must satisfy 0 <= post_roll_s <= tentative_s <= endpoint_s")
        if not (0 < self.start_s <= 0.5 and 0 <= self.pre_roll_s <= 1):
            raise ValueError("start_s must be in (0, 0.5] and pre_roll_s in [0, 1]")
        if not (self.max_utterance_s >= 4 and 0.5 <= self.cut_search_s <= self.max_utterance_s / 2):
            raise ValueError("max_utterance_s must be at least 4, and cut_search_s from 0.5 to half of it")

    @property
    def release(self) -> float:
        """The release threshold in force."""
        if self.release_threshold is not None:
            return self.release_threshold
        return max(self.threshold - 0.15, self.threshold / 2)


@dataclass(frozen=True, slots=True)
class UtteranceStarted:
    """An utterance is open from `start_sample`; its first speech frame is at `speech_start_sample`."""

    start_sample: int
    speech_start_sample: int


@dataclass(frozen=True, slots=True)
class TentativeEnd:
    """The speaker may be done: the utterance would end at `end_sample` (post-roll included)."""

    end_sample: int
    speech_end_sample: int


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The last TentativeEnd was none."""


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """The utterance is over. With `max_length` another one may follow at once, without a gap."""

    start_sample: int
    end_sample: int
    speech_end_sample: int
    reason: Literal["silence", "max_length", "commit", "flush"]


@dataclass(frozen=True, slots=True)
class UtteranceCleared:
    """The open utterance was taken back by the client."""


SegmentEvent: TypeAlias = UtteranceStarted | TentativeEnd | SpeechResumed | UtteranceEnded | UtteranceCleared


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Where one way to find utterances leaves off, for another to go on there."""

    now_sample: int
    """Frames are heard from here on, even if they were before."""
    free_from_sample: int
    """No later utterance reaches before it; the open one begins there."""
    is_open: bool = False
    speech_start_sample: int = 0
    """Of the open utterance."""
    quiet_since_sample: int | None = None
    """Since when its speaker may be silent."""


class _State(Enum):
    IDLE = auto()
    CANDIDATE = auto()
    SPEAKING = auto()
    QUIET = auto()


class Segmenter:
    """Finds the utterances of one track. How scores are grouped into calls does not change the events."""

    def __init__(
        self, options: SegmenterOptions | None = None, *, begin_sample: int = 0, free_from_sample: int = 0
    ) -> None:
        """The first frame begins at `begin_sample`, which lies on a frame; no utterance before `free_from_sample`."""
        options = options or SegmenterOptions()
        self._threshold = options.threshold
        self._release = options.release
        self._start_length = _samples(options.start_s)
        self._pre_roll = _samples(options.pre_roll_s)
        self._least_tentative = self._tentative_after = _samples(options.tentative_s)
        self._usual_end_after = self._end_after = _samples(options.endpoint_s)
        self._post_roll = _samples(options.post_roll_s)
        self._max_length = _samples(options.max_utterance_s)
        self._recent: deque[float] = deque(maxlen=_samples(options.cut_search_s) // FRAME_SAMPLES)

        self._state = _State.IDLE
        self._now = begin_sample  # end of the last frame
        self._previous_end = free_from_sample
        self._start = 0
        self._speech_start = 0
        self._quiet_since = 0
        self._is_tentative = False

    def hand_over(self) -> Handover:
        """Leave off here. What was never an utterance yet may become one."""
        return Handover(
            now_sample=self._now,
            free_from_sample=self.quiet_before,
            is_open=self._is_open,
            speech_start_sample=self._speech_start,
            quiet_since_sample=self._quiet_since if self._state is _State.QUIET else None,
        )

    def take_over(self, left: Handover) -> None:
        """Go on where another left off, before any score came. Of a silence under way the usual time is waited for."""
        self._now, self._previous_end = left.now_sample, left.free_from_sample
        if not left.is_open:
            return
        self._start, self._speech_start = left.free_from_sample, left.speech_start_sample
        self._state = _State.SPEAKING
        if left.quiet_since_sample is not None:
            self._state, self._quiet_since = _State.QUIET, left.quiet_since_sample

    @property
    def quiet_before(self) -> int:
        """Sample before which no open or future utterance reaches; never decreases."""
        match self._state:
            case _State.IDLE:
                return max(self._previous_end, self._now - self._pre_roll)
            case _State.CANDIDATE:
                return max(self._previous_end, self._speech_start - self._pre_roll)
            case _:
                return self._start

    @property
    def is_quiet(self) -> bool:
        """An utterance is open, and its speaker has stopped: for a moment or for good."""
        return self._state is _State.QUIET

    def on_scores(self, scores: Sequence[float]) -> list[SegmentEvent]:
        """Take the scores of the next frames, in order; return what they decide, in order."""
        events: list[SegmentEvent] = []
        for score in scores:
            self._recent.append(score)
            frame_start, self._now = self._now, self._now + FRAME_SAMPLES
            if not self._is_open:
                self._while_closed(score, frame_start, events)
            elif self._state is _State.QUIET:
                self._while_quiet(score, events)
            elif score < self._release:
                self._state, self._quiet_since = _State.QUIET, frame_start
                self._end_after = self._usual_end_after
            self._check_length(events)
        return events

    def set_endpoint(self, wait_s: float) -> None:
        """Have the silence under way end its utterance after `wait_s`, seen from the next frame on.

        It counts until speech resumes or the utterance ends, and is never less than `tentative_s`. While nobody is
        silent it changes nothing.
        """
        if self._state is _State.QUIET:
            self._end_after = max(self._least_tentative, _samples(wait_s))

    def set_tentative(self, wait_s: float) -> None:
        """Have a TentativeEnd come after `wait_s` of silence, seen from the next frame on.

        It is never less than `tentative_s`. Where the utterance ends no later, it ends without one.
        """
        self._tentative_after = max(self._least_tentative, _samples(wait_s))

    def commit(self, _end_sample: int) -> list[SegmentEvent]:
        """The client ends its turn: an open utterance ends at the last frame, whoever goes on opens another."""
        return [self._end("commit")] if self._is_open else []

    def clear(self, _end_sample: int) -> list[SegmentEvent]:
        """The client takes back what was not ended: no utterance reaches before the last frame."""
        events: list[SegmentEvent] = [UtteranceCleared()] if self._is_open else []
        self._state = _State.IDLE
        self._previous_end = self._now
        return events

    def flush(self, end_sample: int | None = None) -> list[SegmentEvent]:
        """End of audio: an open utterance ends. Call it last.

        `end_sample` is where the audio ends, if beyond the last scored frame. An utterance whose speaker has not
        stopped takes that remainder too, as far as its maximum length allows.
        """
        if end_sample is not None:
            self._now = max(self._now, end_sample)
        events: list[SegmentEvent] = []
        if self._is_open:
            events.append(self._end("flush"))
        self._state = _State.IDLE
        return events

    @property
    def _is_open(self) -> bool:
        return self._state in (_State.SPEAKING, _State.QUIET)

    def _while_closed(self, score: float, frame_start: int, events: list[SegmentEvent]) -> None:
        if self._state is _State.IDLE and score >= self._threshold:
            self._state, self._speech_start = _State.CANDIDATE, frame_start
        elif score < self._release:
            self._state = _State.IDLE
        if self._state is _State.CANDIDATE and self._now - self._speech_start >= self._start_length:
            self._state = _State.SPEAKING
            self._open(max(self._previous_end, self._speech_start - self._pre_roll), events)

    def _while_quiet(self, score: float, events: list[SegmentEvent]) -> None:
        if score >= self._threshold:
            self._state = _State.SPEAKING
            if self._is_tentative:
                self._is_tentative = False
                events.append(SpeechResumed())
            return
        quiet = self._now - self._quiet_since
        if quiet >= self._end_after:
            events.append(self._end("silence"))
        elif quiet >= self._tentative_after and not self._is_tentative:
            self._is_tentative = True
            events.append(TentativeEnd(self._quiet_since + self._post_roll, self._quiet_since))

    def _check_length(self, events: list[SegmentEvent]) -> None:
        """Cut before the next frame would make the utterance longer than allowed."""
        if not self._is_open or self._now + FRAME_SAMPLES - self._start <= self._max_length:
            return
        cut = self._best_cut()
        if self._state is _State.QUIET and (self._is_tentative or cut >= self._quiet_since):
            events.append(self._end("max_length"))  # the best pause is now, and nobody has spoken since
            return
        events.append(UtteranceEnded(self._start, cut, cut, "max_length"))
        self._previous_end = self._speech_start = cut
        self._open(cut, events)

    def _best_cut(self) -> int:
        first_frame = self._now // FRAME_SAMPLES - len(self._recent)
        return int((first_frame + quietest_frame(list(self._recent))) * FRAME_SAMPLES)

    def _open(self, start: int, events: list[SegmentEvent]) -> None:
        self._start, self._is_tentative, self._end_after = start, False, self._usual_end_after
        events.append(UtteranceStarted(start, self._speech_start))

    def _end(self, reason: Literal["silence", "max_length", "commit", "flush"]) -> UtteranceEnded:
        is_quiet = self._state is _State.QUIET
        speech_end = self._quiet_since if is_quiet else min(self._now, self._start + self._max_length)
        self._previous_end = min(speech_end + self._post_roll, self._now, self._start + self._max_length)
        self._state = _State.IDLE
        return UtteranceEnded(self._start, self._previous_end, speech_end, reason)


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)
