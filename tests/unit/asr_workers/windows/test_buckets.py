import pytest

from asr_workers.windows.buckets import (
    FINAL_CONTEXTS_S,
    FULL_CONTEXT_S,
    PARTIAL_CONTEXTS_S,
    TAIL_MARGIN_S,
    encoder_context_s,
)
from bus.contract.work import MAX_WINDOW_S, WindowKind


@pytest.mark.parametrize(
    ("kind", "duration_s", "context_s"),
    [
        ("final", 0.1, 15),
        ("final", 14.0, 15),
        ("final", 14.01, 20),
        ("final", MAX_WINDOW_S, 30),
        ("partial", 0.0, 8),
        ("partial", 7.0, 8),
        ("partial", 7.5, 12),
        ("partial", 11.5, 15),
        ("partial", MAX_WINDOW_S, 30),
    ],
)
def test_a_window_gets_the_smallest_context_that_holds_it(kind: WindowKind, duration_s: float, context_s: int) -> None:
    assert encoder_context_s(kind, duration_s) == context_s


@pytest.mark.parametrize(("duration_s", "context_s"), [(0.1, 10), (9.0, 10), (9.01, 15), (MAX_WINDOW_S, 30)])
def test_a_hurried_final_makes_do_with_less(duration_s: float, context_s: int) -> None:
    assert encoder_context_s("final", duration_s, hurried=True) == context_s
    assert encoder_context_s("partial", duration_s, hurried=True) == encoder_context_s("partial", duration_s)


@pytest.mark.parametrize("kind", ["final", "partial"])
def test_every_allowed_window_keeps_its_margin(kind: WindowKind) -> None:
    for tenth in range(int(MAX_WINDOW_S * 10) + 1):
        assert encoder_context_s(kind, tenth / 10) >= tenth / 10 + TAIL_MARGIN_S


def test_contexts_grow_up_to_the_full_one() -> None:
    for contexts in (FINAL_CONTEXTS_S, PARTIAL_CONTEXTS_S):
        assert list(contexts) == sorted(set(contexts))
        assert contexts[-1] == FULL_CONTEXT_S


def test_a_window_above_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than 29 s"):
        encoder_context_s("final", MAX_WINDOW_S + 0.01)
