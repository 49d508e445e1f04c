"""From where on the speech of a session is heard here: from its first sample, or from where another gateway stopped."""

from collections.abc import Sequence
from dataclasses import dataclass

from stream_gateway.segmentation.segmenter import FRAME_SAMPLES

_WINDOWS_PER_EPOCH = 2**20
"""More than one session asks for: what a gateway before still hears of its windows fits none of ours."""


@dataclass(frozen=True, slots=True)
class ChannelOutset:
    """What is known of one channel."""

    last_segment: int = 0
    """Its newest segment, 0 for none."""
    heard_sample: int = 0
    """Audio before this is accounted for, and is not heard again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outset:
    """A value; the default is the beginning of a session. Samples are at 16 kHz, from the session's first."""

    epoch: int = 0
    begin_sample: int = 0
    """The first that the client sends."""
    channels: Sequence[ChannelOutset] = ()
    """Those beyond it are as at the beginning."""
    recorded: frozenset[int] = frozenset()
    """Segment numbers that records have."""
    language: str | None = None
    """In which the session was decoded before."""

    @property
    def clock_sample(self) -> int:
        """Where the clock begins, and the audio, with silence up to `begin_sample`.

        So frames lie where they would lie without the interruption, and are scored alike.
        """
        return self.begin_sample - self.begin_sample % FRAME_SAMPLES

    @property
    def first_window(self) -> int:
        """Number of the first window that is asked for."""
        return self.epoch * _WINDOWS_PER_EPOCH + 1

    def channel(self, channel: int) -> ChannelOutset:
        """What is known of one channel; its audio is heard from `begin_sample` on at the earliest."""
        known = self.channels[channel] if channel < len(self.channels) else ChannelOutset()
        return ChannelOutset(known.last_segment, max(known.heard_sample, self.begin_sample))


BEGINNING = Outset()
