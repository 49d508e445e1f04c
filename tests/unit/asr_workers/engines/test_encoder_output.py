import gc
from types import SimpleNamespace
from typing import Any

import ctranslate2
import numpy as np
import pytest
from numpy.typing import NDArray

from asr_workers.engines.encoder_output import Encoded, _Rows, joined, rows_of, storage


def batch_of(windows: int, *, first: float = 0.0) -> list[Encoded]:
    """Rows of one encoder output; row i holds first + i everywhere."""
    values = np.repeat(np.arange(windows, dtype=np.float32) + first, 6).reshape(windows, 2, 3)
    return rows_of(storage(values, on_cpu=True))


def values_of(view: ctranslate2.StorageView) -> NDArray[Any]:
    array = np.asarray(view)
    assert array.shape[1:] == (2, 3)
    assert (array == array[:, :1, :1]).all()
    return array[:, 0, 0]


def test_a_whole_batch_is_joined_without_a_copy() -> None:
    rows = batch_of(3)
    assert joined(rows) is rows[0].batch


def test_neighbours_of_a_batch_are_joined_in_its_own_memory() -> None:
    rows = batch_of(4)
    view = joined(rows[1:3])
    assert list(values_of(view)) == [1, 2]
    assert np.shares_memory(np.asarray(view), np.asarray(rows[0].batch))


def test_a_view_of_a_row_keeps_its_batch_alive() -> None:
    view = joined(batch_of(2, first=7.0)[1:])
    gc.collect()
    assert list(values_of(view)) == [8]


@pytest.mark.parametrize("order", [(2, 0), (0, 2), (1, 1), (2, 1, 0)])
def test_rows_that_are_no_neighbours_are_joined_in_the_order_given(order: tuple[int, ...]) -> None:
    rows = batch_of(3)
    assert list(values_of(joined([rows[place] for place in order]))) == list(order)


def test_rows_of_different_batches_are_joined() -> None:
    rows = [*batch_of(1, first=5.0), *batch_of(2, first=8.0)[1:]]
    assert list(values_of(joined(rows))) == [5, 9]


def test_half_precision_stays_and_bfloat16_becomes_readable() -> None:
    output = storage(np.ones((2, 2, 3), dtype=np.float32), on_cpu=True)
    half = rows_of(output.to(ctranslate2.DataType.float16))
    assert np.asarray(joined(half[:1])).dtype == np.float16
    (first, _) = rows_of(output.to(ctranslate2.DataType.bfloat16))
    assert first.batch.dtype == ctranslate2.DataType.float32


def test_rows_on_a_gpu_are_shown_at_their_address_there_and_only_there() -> None:
    interface = {"shape": (4, 750, 512), "typestr": "<f2", "data": (0x7000_0000, False), "version": 3}
    rows = _Rows(SimpleNamespace(device="cuda", __cuda_array_interface__=interface), 2, 1)
    assert not hasattr(rows, "__array_interface__")
    shown = vars(rows)["__cuda_array_interface__"]
    assert shown == {**interface, "shape": (1, 750, 512), "data": (0x7000_0000 + 2 * 750 * 512 * 2, False)}
