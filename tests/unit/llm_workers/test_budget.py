from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract.chat_work import ChatMessage, Role
from llm_workers.budget import Budget, Fitted, TooLong

SYSTEM = ChatMessage("system", "x" * 40)


def said(role: Role, tokens: int) -> ChatMessage:
    return ChatMessage(role, "x" * tokens)


def count(messages: Sequence[ChatMessage]) -> int:
    """A tokenizer with one token a character."""
    return sum(len(message.text) for message in messages)


def fit(
    messages: Sequence[ChatMessage], *, context: int, max_tokens: int = 100, counts: list[int] | None = None
) -> Fitted:
    budget = Budget(messages, prefill="", max_tokens=max_tokens, context_tokens=context)
    while budget.fitted is None:
        tokens = count(budget.candidate())
        if counts is not None:
            counts.append(tokens)
        budget.on_count(tokens)
    return budget.fitted


TALK = [message for _ in range(10) for message in (said("user", 100), said("assistant", 100))]


def test_a_short_conversation_fits_without_being_counted() -> None:
    counts: list[int] = []
    assert fit([SYSTEM, said("user", 50)], context=4096, counts=counts) == Fitted((SYSTEM, said("user", 50)), 100)
    assert counts == []


def test_where_the_engine_tells_no_limit_everything_fits() -> None:
    assert fit([said("user", 10_000)], context=0).dropped_turns == 0


def test_a_long_one_that_fits_is_counted_once() -> None:
    counts: list[int] = []
    fitted = fit([SYSTEM, *TALK, said("user", 100)], context=2300, counts=counts)
    assert (fitted.dropped_turns, fitted.max_tokens, counts) == (0, 100, [2140])


def test_the_oldest_turns_go_in_pairs_and_no_more_of_them_than_must() -> None:
    fitted = fit([SYSTEM, *TALK, said("user", 100)], context=1000)
    assert fitted.dropped_turns == 7
    assert fitted.messages == (SYSTEM, *TALK[14:], said("user", 100))


def test_a_turn_is_not_dropped_for_the_sake_of_a_few_tokens_of_the_answer() -> None:
    fitted = fit([said("user", 500), said("assistant", 300), said("user", 120)], context=1000)
    assert (fitted.dropped_turns, fitted.max_tokens) == (0, 80)


def test_but_it_is_where_much_of_the_answer_would_be_lost() -> None:
    fitted = fit([said("user", 500), said("assistant", 300), said("user", 130)], context=1000)
    assert (fitted.dropped_turns, fitted.max_tokens) == (1, 100)


def test_who_asks_for_more_than_the_context_holds_does_not_lose_the_conversation() -> None:
    fitted = fit([said("user", 500), said("assistant", 100), said("user", 100)], context=1000, max_tokens=32_768)
    assert (fitted.dropped_turns, fitted.max_tokens) == (0, 300)


def test_a_last_turn_without_room_for_an_answer_is_refused() -> None:
    with pytest.raises(TooLong, match="1000 tokens"):
        fit([SYSTEM, *TALK, said("user", 980)], context=1000)
    with pytest.raises(TooLong):
        fit([said("user", 980)], context=1000)


def test_a_last_turn_that_leaves_room_for_a_short_answer_is_not() -> None:
    assert fit([*TALK, said("user", 960)], context=1000) == Fitted((said("user", 960),), 40, dropped_turns=10)


def test_an_answer_before_the_first_question_goes_with_it() -> None:
    greeting = said("assistant", 300)
    fitted = fit([greeting, said("user", 400), said("assistant", 300), said("user", 100)], context=700)
    assert fitted.messages == (said("user", 100),)
    assert fitted.dropped_turns == 2


def test_the_prefill_counts_as_text() -> None:
    budget = Budget([said("user", 50)], prefill="x" * 4000, max_tokens=100, context_tokens=4096)
    assert budget.fitted is None


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.integers(0, 400)), max_size=12),
    st.integers(0, 500),
    st.integers(1, 2000),
    st.integers(300, 3000),
)
def test_whatever_is_said_what_is_kept_fits_and_ends_with_the_last_question(
    talk: list[tuple[Role, int]], last: int, max_tokens: int, context: int
) -> None:
    messages = [SYSTEM, *(said(role, tokens) for role, tokens in talk), said("user", last)]
    try:
        fitted = fit(messages, context=context, max_tokens=max_tokens)
    except TooLong:
        assert count([SYSTEM, messages[-1]]) + min(max_tokens, 32) > context
        return
    assert count(fitted.messages) + fitted.max_tokens <= context
    assert 1 <= fitted.max_tokens <= max_tokens
    assert fitted.messages[0] == SYSTEM
    assert list(fitted.messages[1:]) == messages[len(messages) - len(fitted.messages) + 1 :]
