"""Audio of one track that is still needed, addressed by absolute sample."""

import numpy as np
from numpy.typing import NDArray

_MIN_CAPACITY = 8_192


class AudioBuffer:
    """16-bit samples from `start_sample` to `end_sample`. Appending is amortised O(1).

    Memory follows what is held: never more than twice that, or 16 KiB. The buffer has no bound of its own; whoever
    appends stops at its limit (`held_samples`).
    """

    def __init__(self, start_sample: int = 0) -> None:
        """The first sample appended is number `start_sample`."""
        self._store = np.empty(_MIN_CAPACITY, dtype=np.int16)
        self._first = 0  # index in the store of `start_sample`
        self._start_sample = start_sample
        self._held = 0

    @property
    def start_sample(self) -> int:
        """First sample still held; what is before it was released."""
        return self._start_sample

    @property
    def end_sample(self) -> int:
        """One past the last sample appended."""
        return self._start_sample + self._held

    @property
    def held_samples(self) -> int:
        """Samples held."""
        return self._held

    @property
    def allocated_bytes(self) -> int:
        """Memory in use, room to grow included."""
        return self._store.nbytes

    def append(self, samples: NDArray[np.int16]) -> None:
        """Add samples at `end_sample`; they are copied, and must be contiguous."""
        needed = self._held + len(samples)
        if self._first + needed > len(self._store):
            # A fifth of the store is free then: each sample is moved some four times, however many are held.
            self._resettle(max(len(self._store), _roomy(needed)))
        # Not as arrays: numpy would let go of the interpreter's lock for each copy, and then wait to have it back.
        self._store.data[self._first + self._held : self._first + needed] = samples.data
        self._held = needed

    def slice_bytes(self, start: int, end: int) -> bytes:
        """Samples `start` to `end` as little-endian bytes. IndexError if any is released or not there yet."""
        if not self.start_sample <= start <= end <= self.end_sample:
            raise IndexError(f"samples {start} to {end} are not in {self.start_sample} to {self.end_sample}")
        offset = self._first - self._start_sample
        return self._store[start + offset : end + offset].astype("<i2", copy=False).tobytes()

    def release(self, before_sample: int) -> None:
        """Forget what is before `before_sample`. Going back is a no-op; IndexError beyond the end."""
        if before_sample > self.end_sample:
            raise IndexError(f"cannot release up to {before_sample}: the audio ends at {self.end_sample}")
        count = max(0, before_sample - self._start_sample)
        self._start_sample += count
        self._first += count
        self._held -= count
        if len(self._store) > _MIN_CAPACITY and self._held <= len(self._store) // 2:
            self._resettle(_roomy(self._held))

    def _resettle(self, capacity: int) -> None:
        held = self._store[self._first : self._first + self._held]
        capacity = max(capacity, _MIN_CAPACITY)
        store = self._store if capacity == len(self._store) else np.empty(capacity, dtype=np.int16)
        store[: self._held] = held  # numpy copes with the overlap
        self._store, self._first = store, 0


def _roomy(held_samples: int) -> int:
    """A capacity for so many samples and a quarter more."""
    return held_samples + held_samples // 4
