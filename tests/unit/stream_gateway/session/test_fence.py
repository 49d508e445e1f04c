from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.session.fence import Fence, Verdict


class Message(NamedTuple):
    seq: int
    msg_id: str
    epoch: int = 0


def test_each_store_follows_the_one_before() -> None:
    fence = Fence(0)
    fence.on_stored(4)
    assert fence.after_seq == 4
    fence.on_stored(9)
    assert fence.after_seq == 9


def test_a_duplicate_of_ours_is_stored_and_does_not_move_the_fence_back() -> None:
    fence = Fence(9)
    assert fence.on_duplicate(Message(9, "b")) is Verdict.STORED
    assert fence.after_seq == 9


def test_a_duplicate_of_what_a_later_owner_gave_the_same_name_means_that_the_subject_is_theirs() -> None:
    assert Fence(4).on_duplicate(Message(9, "a", epoch=1)) is Verdict.TAKEN


def test_a_later_owners_message_is_not_taken_for_ours_whatever_its_name_and_number() -> None:
    fence = Fence(4, epoch=1)
    fence.on_doubt("a")
    assert fence.on_refused("a", Message(6, "a", epoch=2)) is Verdict.TAKEN
    assert fence.on_refused("a", Message(3, "x", epoch=2)) is Verdict.TAKEN


def test_a_refusal_whose_newest_message_is_this_very_store_means_that_it_is_stored() -> None:
    fence = Fence(4)
    fence.on_doubt("a")
    assert fence.on_refused("a", Message(5, "a")) is Verdict.STORED
    assert fence.after_seq == 5


def test_an_earlier_store_in_doubt_is_found_by_the_next_and_not_made_again() -> None:
    fence = Fence(4)
    fence.on_doubt("a")
    assert fence.on_refused("b", Message(5, "a")) is Verdict.AGAIN
    fence.on_stored(6)
    assert fence.is_stored("a")
    assert not fence.is_stored("a"), "told once"
    assert not fence.is_stored("b")


def test_somebody_elses_newer_message_means_that_the_subject_is_theirs() -> None:
    fence = Fence(4)
    fence.on_doubt("a")
    assert fence.on_refused("a", Message(5, "x")) is Verdict.TAKEN


@pytest.mark.parametrize("newest", [(0, ""), (3, "old")])
def test_a_broker_that_has_forgotten_is_stored_to_behind_what_it_has(newest: tuple[int, str]) -> None:
    fence = Fence(4)
    assert fence.on_refused("a", Message(*newest)) is Verdict.AGAIN
    assert fence.after_seq == newest[0]


def test_a_broker_that_counts_anew_is_still_fenced() -> None:
    fence = Fence(900)
    fence.on_refused("a", Message(0, ""))
    fence.on_stored(1)
    assert fence.on_refused("b", Message(2, "x")) is Verdict.TAKEN


def test_a_replica_that_lags_does_not_lose_the_session() -> None:
    fence = Fence(0)
    fence.on_stored(4)
    fence.on_doubt("b")
    assert fence.on_refused("b", Message(3, "older")) is Verdict.AGAIN
    assert fence.on_refused("b", Message(4, "of ours")) is Verdict.AGAIN
    assert fence.after_seq == 4
    assert fence.on_refused("b", Message(5, "b")) is Verdict.STORED


class Subject:
    """The broker's side: one subject, and what became of the answers."""

    def __init__(self) -> None:
        self.stored: list[str] = []

    def store(self, msg_id: str, after_seq: int) -> bool:
        if len(self.stored) != after_seq:
            return False
        self.stored.append(msg_id)
        return True

    @property
    def newest(self) -> tuple[int, str]:
        return len(self.stored), self.stored[-1] if self.stored else ""


@given(st.lists(st.sampled_from(["acknowledged", "lost before", "lost after"]), max_size=60), st.randoms())
def test_whatever_answers_are_lost_each_message_is_stored_once_and_nobody_is_driven_out(
    fates: list[str], random: Random
) -> None:
    subject, fence, fate = Subject(), Fence(0), iter(fates)
    waiting = [f"m{number}" for number in range(12)]
    while waiting:
        msg_id = waiting[random.randrange(min(2, len(waiting)))]
        done = fence.is_stored(msg_id)
        while not done:
            happened = next(fate, "acknowledged")
            if happened == "lost before":
                fence.on_doubt(msg_id)
                break
            if not subject.store(msg_id, fence.after_seq):
                verdict = fence.on_refused(msg_id, Message(*subject.newest))
                assert verdict is not Verdict.TAKEN
                done = verdict is Verdict.STORED
            elif happened == "lost after":
                fence.on_doubt(msg_id)
                break
            else:
                fence.on_stored(len(subject.stored))
                done = True
        if done:
            waiting.remove(msg_id)
    assert sorted(subject.stored) == sorted(f"m{number}" for number in range(12))
