"""The bridge between the two clocks: when was a given sample of audio received?"""

from bisect import bisect_left

_MARK_EVERY_SAMPLES = 320
"""20 ms: finer than any frame that segmentation works on."""


class AudioClock:
    """Wall times of received audio, kept for what is not committed yet."""

    def __init__(self, begin_sample: int = 0, now: float = 0.0) -> None:
        """Audio before `begin_sample` counts as received `now`."""
        self._samples: list[int] = [begin_sample] if begin_sample else []
        self._times: list[float] = [now] if begin_sample else []

    @property
    def received_sample(self) -> int:
        """How much audio was received."""
        return self._samples[-1] if self._samples else 0

    def on_audio(self, end_sample: int, now: float) -> None:
        """Note that audio up to `end_sample` is here at wall time `now`."""
        if len(self._samples) > 1 and end_sample - self._samples[-2] < _MARK_EVERY_SAMPLES:
            self._samples[-1], self._times[-1] = end_sample, now
        else:
            self._samples.append(end_sample)
            self._times.append(now)

    def received_at(self, sample: int) -> float:
        """Wall time from which audio up to `sample` was here; the nearest known one outside the kept range."""
        index = min(bisect_left(self._samples, sample), len(self._times) - 1)
        return self._times[index]

    def forget(self, before_sample: int) -> None:
        """Drop marks that nobody will ask for; the newest always stays."""
        keep_from = min(bisect_left(self._samples, before_sample), len(self._samples) - 1)
        if keep_from > 0:
            del self._samples[:keep_from], self._times[:keep_from]
