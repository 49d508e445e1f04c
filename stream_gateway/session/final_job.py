"""One final window on its way: how far it has come with the broker, the worker and the record."""

from dataclasses import dataclass, field
from enum import Enum, auto

from bus.contract.work import AsrResult, Failure
from stream_gateway.session.utterance import FinalWindow


class Publish(Enum):
    """Where the newest attempt is."""

    DUE = auto()
    SENDING = auto()
    QUEUED = auto()
    TAKEN = auto()


@dataclass(slots=True)
class FinalJob:
    """See the theory of operation in `finals`, which alone changes it."""

    utterance: FinalWindow
    window: int
    proposed_at: float
    confirmed_at: float | None = None
    publish: Publish = Publish.DUE
    try_at: float = 0.0
    """DUE: when to publish. QUEUED: when it has expired in the broker. TAKEN: when the answer counts as missed."""
    attempt: int = 1
    misses: int = 0
    failures: int = 0
    """How often a worker could not decode it, or was done with it and had not answered."""
    failed_by: set[str] = field(default_factory=set)
    """The workers that say that they cannot decode it."""
    publish_failures: int = 0
    hurried: bool = False
    """The newest attempt is decoded in a hurry."""
    published_at: float | None = None
    """When the broker had the newest attempt that is no hedge."""
    taken_at: float = 0.0
    is_noticed: bool = False
    """A worker has said that it has the newest attempt."""
    may_hedge: bool = True
    """It was not decided yet whether to ask for it a second time beside the first."""
    hedged: bool = False
    has_rival: bool = False
    """Two attempts are under way and neither has failed: the failure of one is not that of the final."""
    result: AsrResult | None = None
    answered_at: float = 0.0
    failure: Failure | None = None
    store_at: float = 0.0
    store_failures: int = 0

    @property
    def is_answered(self) -> bool:
        """There is a text, or there will be none."""
        return self.result is not None or self.failure is not None

    @property
    def is_ready(self) -> bool:
        """It may be stored."""
        return self.confirmed_at is not None and self.is_answered

    @property
    def is_under_way(self) -> bool:
        """The broker or a worker may have it, and nobody has answered."""
        return self.publish is not Publish.DUE and not self.is_answered
