import gc
from collections.abc import Iterator

import pytest

from stream_gateway.process_limits import collect_rarely


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_what_a_gateway_is_made_of_is_not_looked_through_for_garbage_again() -> None:
    often, *_ = gc.get_threshold()
    collect_rarely()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] > often
