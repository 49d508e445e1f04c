"""Utterances as the client ends them: everything is speech, from the first sample on. Pure.

It takes loudness where `Segmenter` takes speech scores, and needs it only to cut what gets too long.
"""

from collections import deque
from collections.abc import Sequence
from typing import Literal

from stream_gateway.segmentation.cut import quietest_frame
from stream_gateway.segmentation.segmenter import (
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    Handover,
    SegmenterOptions,
    SegmentEvent,
    UtteranceCleared,
    UtteranceEnded,
    UtteranceStarted,
)


class ManualSegmenter:
    """Utterances of one track follow one another without a gap. How levels are grouped into calls changes no event."""

    def __init__(
        self, options: SegmenterOptions | None = None, *, begin_sample: int = 0, free_from_sample: int = 0
    ) -> None:
        """As `Segmenter`; of the options only `max_utterance_s` and `cut_search_s` matter."""
        options = options or SegmenterOptions()
        self._max_length = round(options.max_utterance_s * SAMPLE_RATE_HZ)
        self._recent: deque[float] = deque(maxlen=round(options.cut_search_s * SAMPLE_RATE_HZ) // FRAME_SAMPLES)
        self._now = begin_sample  # end of the last frame
        self._start = free_from_sample  # of the open utterance, or of the next one
        self._is_open = False

    def hand_over(self) -> Handover:
        """Leave off before the open utterance: nobody has listened yet whether it is one."""
        first_frame = -(-self._start // FRAME_SAMPLES)
        return Handover(now_sample=min(self._now, first_frame * FRAME_SAMPLES), free_from_sample=self._start)

    def take_over(self, left: Handover) -> None:
        """Go on where another left off, before any level came; what is open goes on too."""
        self._now, self._start, self._is_open = left.now_sample, left.free_from_sample, left.is_open

    @property
    def quiet_before(self) -> int:
        """Sample before which no open or future utterance reaches; never decreases."""
        return self._start

    @property
    def is_quiet(self) -> bool:
        """Nobody looks for silence here."""
        return False

    def on_scores(self, scores: Sequence[float]) -> list[SegmentEvent]:
        """Take the loudness of the next frames, in order; return what follows, in order."""
        events: list[SegmentEvent] = []
        for level in scores:
            self._recent.append(level)
            self._now += FRAME_SAMPLES
            self._open(self._now, events)
            if self._now + FRAME_SAMPLES - self._start > self._max_length:
                first_frame = self._now // FRAME_SAMPLES - len(self._recent)
                cut = int((first_frame + quietest_frame(list(self._recent))) * FRAME_SAMPLES)
                self._end(cut, "max_length", events)
                self._open(self._now, events)
        return events

    def set_endpoint(self, wait_s: float) -> None:
        """No silence ends an utterance here."""

    def set_tentative(self, wait_s: float) -> None:
        """No end is tentative here."""

    def commit(self, end_sample: int) -> list[SegmentEvent]:
        """The client ends the utterance at `end_sample`, where its audio ends: the half frame included."""
        return self._end_here(end_sample, "commit")

    def clear(self, end_sample: int) -> list[SegmentEvent]:
        """The client takes back all audio before `end_sample` that it did not commit."""
        events: list[SegmentEvent] = [UtteranceCleared()] if self._is_open else []
        self._start, self._is_open = end_sample, False
        return events

    def flush(self, end_sample: int | None = None) -> list[SegmentEvent]:
        """End of audio, at `end_sample` if that is beyond the last frame: the last utterance ends. Call it last."""
        return self._end_here(self._now if end_sample is None else max(self._now, end_sample), "flush")

    def _end_here(self, end_sample: int, reason: Literal["commit", "flush"]) -> list[SegmentEvent]:
        events: list[SegmentEvent] = []
        self._open(end_sample, events)
        if self._is_open:
            self._end(end_sample, reason, events)
        return events

    def _open(self, end_sample: int, events: list[SegmentEvent]) -> None:
        if not self._is_open and end_sample > self._start:
            self._is_open = True
            events.append(UtteranceStarted(self._start, self._start))

    def _end(self, cut: int, reason: Literal["commit", "max_length", "flush"], events: list[SegmentEvent]) -> None:
        events.append(UtteranceEnded(self._start, cut, cut, reason))
        self._start, self._is_open = cut, False
