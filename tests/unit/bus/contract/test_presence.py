import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract import presence
from bus.contract.presence import WorkerPresence

identifiers = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
slots = st.integers(0, presence.MAX_SLOTS)
heartbeats = st.builds(
    WorkerPresence,
    version=st.just(presence.VERSION),
    worker=identifiers,
    pool=identifiers,
    slots=slots,
    free_slots=slots,
    aliases=st.lists(st.text(max_size=8), max_size=3).map(tuple),
)


@given(heartbeats)
def test_a_heartbeat_comes_back_as_it_went(heartbeat: WorkerPresence) -> None:
    assert presence.decode_presence(presence.encode_presence(heartbeat)) == heartbeat


@given(st.binary(max_size=100))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a worker\.presence"):
        presence.decode_presence(data)


def test_another_version_is_refused() -> None:
    heartbeat = WorkerPresence(version=2, worker="w", pool="std", model="base", slots=1, state="ready")
    with pytest.raises(ValueError, match="presence version 2, this process speaks 1"):
        presence.decode_presence(presence.encode_presence(heartbeat))


def test_a_field_that_is_unknown_here_is_ignored() -> None:
    heartbeat = WorkerPresence(worker="w", pool="std", model="base", slots=1, state="leaving")
    later = {**msgspec.msgpack.decode(presence.encode_presence(heartbeat)), "region": "eu"}
    assert presence.decode_presence(msgspec.msgpack.encode(later)) == heartbeat


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("worker", "w.1", "worker id must be"),
        ("pool", "a pool", "pool must be"),
        ("slots", -1, "slots must be"),
        ("free_slots", -1, "slots must be"),
        ("slots", presence.MAX_SLOTS + 1, "slots must be"),
        ("model", "m" * (presence.MAX_NAME_CHARS + 1), "too long"),
        ("aliases", ("m" * (presence.MAX_NAME_CHARS + 1),), "too long"),
        ("aliases", ("m",) * (presence.MAX_ALIASES + 1), "too many"),
    ],
)
def test_what_could_be_no_worker_is_refused(field: str, value: object, told: str) -> None:
    heartbeat = WorkerPresence(worker="w", pool="std", model="base", slots=1, state="ready")
    data = presence.encode_presence(msgspec.structs.replace(heartbeat, **{field: value}))
    with pytest.raises(ValueError, match=told):
        presence.decode_presence(data)
