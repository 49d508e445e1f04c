"""Model-based: a client that commits at any moment is answered each time, and never before all it waits for is told."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_gateway.session.events import Flushed
from tests.unit.stream_gateway.session.test_session_in_trouble import TROUBLES
from tests.unit.stream_gateway.session.world import Trouble, World


class CommittingWorld(World):
    """The client commits at these moments, too."""

    def __init__(self, trouble: Trouble, commits_s: list[float]) -> None:
        super().__init__(trouble)
        self.commits_s = commits_s
        self.waiting_for: list[frozenset[int]] = []
        """For each commit that is not answered the segments that had begun."""

    def _plan(self) -> None:
        super()._plan()
        for at_s in self.commits_s:
            self.at(at_s, self._commit)

    def _commit(self) -> None:
        if self.session.accepts_audio:
            self.waiting_for.append(frozenset(self.opened))
            self.perform(self.session.on_commit(self.now))

    def _see(self, event: object) -> None:
        super()._see(event)
        if isinstance(event, Flushed):
            assert self.waiting_for.pop(0) <= set(self.settled), "answered before all of it was told"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TROUBLES, st.lists(st.floats(0.0, 20.0), max_size=8))
def test_every_commit_is_answered_in_its_turn(trouble: Trouble, commits_s: list[float]) -> None:
    # Answers that are later than their deadline, each time, may fail a segment: that is the other test's matter.
    world = CommittingWorld(replace(trouble, slowest_s=min(trouble.slowest_s, 1.0)), commits_s)
    world.run()
    world.check_outcome()
    if trouble.ending != "fault":
        assert not world.waiting_for
