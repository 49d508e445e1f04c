"""What the broker itself says about work: the advisories that gateways listen to. JSON on the wire, core NATS."""

import msgspec

from bus.contract.decoding import decoded


class GivenUp(msgspec.Struct, frozen=True, kw_only=True):
    """A message will not be delivered again.

    Either it was delivered as often as its consumer allows and never acknowledged: its workers died of it. Or a worker
    terminated it: it cannot be read. Fields as in the schemas io.nats.jetstream.advisory.v1.max_deliver and
    io.nats.jetstream.advisory.v1.terminated; others are ignored.
    """

    stream: str
    stream_seq: int
    deliveries: int


_decoder = msgspec.json.Decoder(GivenUp)


def decode_given_up(data: bytes) -> GivenUp:
    """Decode the advisory; ValueError if it is none."""
    return decoded(_decoder.decode, data, "an advisory of work given up")
