"""What the broker itself says about work: the one advisory that gateways listen to. JSON on the wire, core NATS."""

import msgspec


class MaxDeliveries(msgspec.Struct, frozen=True, kw_only=True):
    """A message was delivered as often as its consumer allows and never acknowledged: its workers died of it.

    Fields as in the schema io.nats.jetstream.advisory.v1.max_deliver; others are ignored.
    """

    stream: str
    stream_seq: int
    deliveries: int


_decoder = msgspec.json.Decoder(MaxDeliveries)


def decode_max_deliveries(data: bytes) -> MaxDeliveries:
    """Decode the advisory; ValueError if it is none."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a max_deliver advisory: {error}") from None
