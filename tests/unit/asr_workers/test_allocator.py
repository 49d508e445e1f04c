import ctypes
from types import SimpleNamespace

import pytest

from asr_workers.allocator import return_large_blocks


def test_malloc_is_asked_to_return_large_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[int, int] = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=asked.__setitem__))
    return_large_blocks()
    assert asked == {-3: 1_000_000, -1: 8_000_000}


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    return_large_blocks()
