from hypothesis import given
from hypothesis import strategies as st

from llm_workers.deltas import DeltaBatch

PACES = st.lists(st.tuples(st.floats(0, 0.1), st.text(max_size=3)), max_size=30)


def test_the_first_piece_goes_out_at_once() -> None:
    batch = DeltaBatch(0.03)
    batch.add("Hello")
    assert batch.take_due(now=5.0).text == "Hello"


def test_what_follows_quickly_goes_out_together() -> None:
    batch = DeltaBatch(0.03)
    batch.add("a")
    batch.take_due(now=5.0)
    batch.add("b")
    assert batch.take_due(now=5.01).text == ""
    batch.add("c")
    assert batch.due_at() == 5.03
    assert batch.take_due(now=5.03) == ("bc", 2)


def test_text_that_is_slower_than_the_gathering_does_not_wait() -> None:
    batch = DeltaBatch(0.03)
    batch.add("a")
    batch.take_due(now=5.0)
    batch.add("b")
    assert batch.take_due(now=5.04).text == "b"


def test_nothing_is_due_while_there_is_nothing() -> None:
    batch = DeltaBatch(0.03)
    batch.add("")
    assert batch.due_at() is None
    assert batch.take_due(now=5.0).text == ""


def test_at_the_end_everything_goes_out() -> None:
    batch = DeltaBatch(0.03)
    batch.add("a")
    batch.take_due(now=5.0)
    batch.add("b")
    assert batch.take_all().text == "b"
    assert batch.due_at() is None


@given(PACES)
def test_whatever_the_pace_the_pieces_join_to_the_text_and_never_go_out_more_often_than_they_may(
    pieces: list[tuple[float, str]],
) -> None:
    batch, now, sent, sent_at = DeltaBatch(0.03), 0.0, "", []
    for pause_s, text in pieces:
        now += pause_s
        batch.add(text)
        if out := batch.take_due(now).text:
            sent += out
            sent_at.append(now)
    assert sent + batch.take_all().text == "".join(text for _, text in pieces)
    assert all(later - earlier >= 0.03 - 1e-9 for earlier, later in zip(sent_at, sent_at[1:], strict=False))
