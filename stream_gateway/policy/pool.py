"""What a gateway has measured of one pool of workers, for the sessions that it serves."""

from dataclasses import dataclass, field

from stream_gateway.policy.cadence import PoolLag
from stream_gateway.policy.hedging import Hedging


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Shared by the sessions of one gateway; each part takes in what any of them sees."""

    lag: PoolLag = field(default_factory=PoolLag)
    hedging: Hedging = field(default_factory=Hedging)
