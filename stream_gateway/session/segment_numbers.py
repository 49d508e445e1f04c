"""Numbers of the utterances of one session: unique in it, and growing within each channel."""

from collections.abc import Collection, Sequence


class SegmentNumbers:
    """Counts over all channels. After a resume, numbers that no record has are given again, to whom they fit."""

    def __init__(self, *, last: Sequence[int], recorded: Collection[int] = ()) -> None:
        """`last`: for each channel the newest number that it has had, 0 for none; `recorded`: all that records have."""
        taken = {*recorded, *last}
        self._last = list(last)
        self._free = sorted(set(range(1, max(recorded, default=0))) - taken)
        self.highest = max(taken, default=0)
        """The highest number given so far."""

    def next(self, channel: int) -> int:
        """The smallest number that is free and above the channel's own last."""
        number = next((one for one in self._free if one > self._last[channel]), None)
        if number is None:
            number = self.highest = self.highest + 1
        else:
            self._free.remove(number)
        self._last[channel] = number
        return number
