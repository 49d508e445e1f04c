"""What audio is settled: dropped here, and told to the client, who may forget it too, and may have waited for it."""

from collections import deque
from collections.abc import Sequence

from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.effects import Effect, Emit, Release
from stream_gateway.session.events import Committed, Flushed
from stream_gateway.session.track import Track

_STEP_SAMPLES = 2 * SAMPLE_RATE_HZ
"""In silence the client is told this often that it may forget audio; a stored final tells it at once."""

_MAX_FLUSHES = 64
"""Commits of the client that wait for finals; of more than these the newest two are answered as one."""


class Commits:
    """Of one session, over all its channels."""

    def __init__(self, clock: AudioClock, *, begin_sample: int = 0) -> None:
        """Audio before `begin_sample` is settled, and the client knows."""
        self.committed_sample = begin_sample
        """Audio of every channel before this is stored as text or held no speech."""
        self._clock = clock
        self._told_sample = begin_sample
        self._at_once = False
        self._flushes: deque[tuple[int, int]] = deque()  # segments begun before a commit, and its sample

    def on_commit(self, segments: int) -> None:
        """The client ended what is open, when `segments` had begun, and waits for all of them."""
        if len(self._flushes) == _MAX_FLUSHES:
            self._flushes.pop()
        self._flushes.append((segments, self._clock.received_sample))

    def on_stored(self) -> None:
        """A final was stored: the client is waiting to forget its audio."""
        self._at_once = True

    def settle(self, tracks: Sequence[Track], first_segment_owed: int | None, *, done: bool) -> list[Effect]:
        """Release and tell what is due; everything that was scored if the session is `done`."""
        if not tracks:
            return []
        effects: list[Effect] = []
        for track in tracks:
            before_sample = track.releasable()
            if before_sample is not None:
                effects.append(Release(track.channel, before_sample))
        settled = min(track.scored_sample if done else track.settled_before for track in tracks)
        self.committed_sample = max(self.committed_sample, settled)
        self._clock.forget(self.committed_sample)
        step = 1 if done or self._at_once else _STEP_SAMPLES
        self._at_once = False
        if self.committed_sample - self._told_sample >= step:
            self._told_sample = self.committed_sample
            effects.append(Emit(Committed(self.committed_sample)))
        while self._flushes and (first_segment_owed is None or self._flushes[0][0] < first_segment_owed):
            effects.append(Emit(Flushed(self._flushes.popleft()[1])))
        return effects
