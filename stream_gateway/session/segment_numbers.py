"""Numbers of the utterances of one session: unique in it, and growing within each channel."""

from collections.abc import Collection, Sequence


class SegmentNumbers:
    """Counts over all channels. After a resume, numbers that no record has are given again, to whom they fit."""

    def __init__(self, *, last: Sequence[int], recorded: Collection[int] = ()) -> None:
        """`last`: for each channel the newest number that it has had, 0 for none; `recorded`: all that records have."""
        self._taken = {*recorded, *last}
        self._last = list(last)
        self._newest_recorded = max(recorded, default=0)
        self.highest = max(self._taken, default=0)
        """The highest number given so far."""

    def next(self, channel: int) -> int:
        """The smallest number that is free and above the channel's own last."""
        # Step by step, for as many as there are records: a number may be a client's, and as high as it likes.
        number = self._last[channel] + 1
        while number in self._taken:
            number += 1
        if number < self._newest_recorded:
            self._taken.add(number)
        else:
            number = self.highest = self.highest + 1
        self._last[channel] = number
        return number
