"""Encoder output between the model calls: where it is kept, and how windows are put together for the next call.

It stays where the model is. On a CPU each window is encoded alone and `joined` copies rows together, which is little
(1.5 MB for 15 s of context) next to the call itself. On a GPU a batch is encoded at once and the output never leaves
the device: a batch, or neighbours of one, go into the next call without a copy by us. CTranslate2's storage has no
slices in Python, but it shows its address, and rows of a contiguous array are contiguous.

What CTranslate2 leaves open. `StorageView.from_array` borrows an array, and each model call copies its input once, on
the device where it is; features from numpy so pass through pageable memory, and pinning ours would not help. They are
sent as float32 and become float16 on the GPU: a call that is given features in main memory converts them before it
sends them, on one CPU thread, which takes longer than the bytes it saves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ctranslate2
import numpy as np
from numpy.typing import NDArray

_READABLE = (ctranslate2.DataType.float32, ctranslate2.DataType.float16)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoder output of one window. Holds its whole batch in memory."""

    batch: ctranslate2.StorageView
    """[windows, context frames / 2, width], on the model's device."""
    row: int


def storage(array: NDArray[np.float32], *, on_cpu: bool) -> ctranslate2.StorageView:
    """An array for a model call; on a CPU without a copy if it is contiguous."""
    here = ctranslate2.StorageView.from_array(np.ascontiguousarray(array))
    return here if on_cpu else here.to_device(ctranslate2.Device.cuda)


def rows_of(output: ctranslate2.StorageView) -> list[Encoded]:
    """The windows of what the encoder gave. bfloat16, which no array interface knows, becomes float32."""
    batch = output if output.dtype in _READABLE else output.to(ctranslate2.DataType.float32)
    return [Encoded(batch, row) for row in range(batch.shape[0])]


def joined(rows: Sequence[Encoded]) -> ctranslate2.StorageView:
    """Windows of one context as one batch, in this order. Neighbours are not copied; others meet in main memory."""
    first, rank = rows[0].batch, rows[0].row
    if all(one.batch is first and one.row == rank + place for place, one in enumerate(rows)):
        return first if len(rows) == first.shape[0] else _neighbours(first, rank, len(rows))
    alone = [_neighbours(one.batch, one.row, 1) for one in rows]
    return ctranslate2.StorageView.from_array(np.concatenate([np.asarray(_in_main_memory(one)) for one in alone]))


def _neighbours(batch: ctranslate2.StorageView, first: int, count: int) -> ctranslate2.StorageView:
    """Rows of a batch, in its own memory; it lives as long as they do."""
    return ctranslate2.StorageView.from_array(_Rows(batch, first, count))


def _in_main_memory(view: ctranslate2.StorageView) -> ctranslate2.StorageView:
    return view if view.device == "cpu" else view.to_device(ctranslate2.Device.cpu)


class _Rows:
    """The array interface of some rows, which must not outlive this object; it holds the batch."""

    def __init__(self, batch: ctranslate2.StorageView, first: int, count: int) -> None:
        name = "__array_interface__" if batch.device == "cpu" else "__cuda_array_interface__"
        interface: dict[str, Any] = getattr(batch, name)
        address, read_only = interface["data"]
        _, *row = interface["shape"]
        row_bytes = math.prod(row) * np.dtype(interface["typestr"]).itemsize
        self._batch = batch
        setattr(self, name, {**interface, "shape": (count, *row), "data": (address + first * row_bytes, read_only)})
