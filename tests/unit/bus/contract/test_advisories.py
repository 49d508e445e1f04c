import pytest

from bus.contract.advisories import GivenUp, decode_given_up


def test_an_advisory_of_the_broker_is_read_and_its_other_fields_are_ignored() -> None:
    data = b'{"type":"io.nats.jetstream.advisory.v1.max_deliver","stream":"ASR_FINAL","stream_seq":7,"deliveries":4}'
    assert decode_given_up(data) == GivenUp(stream="ASR_FINAL", stream_seq=7, deliveries=4)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"stream": "ASR_FINAL"}'])
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="work given up"):
        decode_given_up(data)
