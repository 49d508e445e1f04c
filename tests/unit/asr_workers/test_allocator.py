import ctypes
from types import SimpleNamespace

import pytest

from asr_workers.allocator import limit_arenas


def test_malloc_is_asked_for_as_many_arenas_as_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[int, int] = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=asked.__setitem__))
    limit_arenas(4)
    assert asked == {-8: 4}


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    limit_arenas(4)
