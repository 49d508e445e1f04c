"""What a gateway has measured of one pool of workers, for the sessions that it serves."""

from dataclasses import dataclass, field

from stream_gateway.policy.cadence import PoolLag
from stream_gateway.policy.haste import Haste
from stream_gateway.policy.hedging import Hedging
from stream_gateway.policy.pool_door import PoolDoor
from stream_gateway.policy.pool_load import PoolLoad


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Shared by the sessions of one gateway; each part takes in what any of them sees."""

    lag: PoolLag = field(default_factory=PoolLag)
    hedging: Hedging = field(default_factory=Hedging)
    haste: Haste = field(default_factory=Haste)
    door: PoolDoor = field(default_factory=PoolDoor)
    load: PoolLoad = field(default_factory=PoolLoad)
