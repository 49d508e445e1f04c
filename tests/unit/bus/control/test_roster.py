import math
from typing import Literal

import pytest

from bus.contract.errors import NoWorker, UnknownModel
from bus.contract.presence import EXPIRES_AFTER_S, WorkerPresence
from bus.control.roster import Roster, Route


def test_with_no_worker_nobody_is_ready_and_no_route_exists() -> None:
    roster = Roster()
    assert not roster.is_ready(now=0.0)
    assert roster.models(now=0.0) == ()
    with pytest.raises(NoWorker, match="no ASR worker is connected"):
        roster.pool_for(None, now=0.0)


def test_a_worker_counts_from_its_first_heartbeat() -> None:
    roster = _roster(_worker("w1"))
    assert roster.is_ready(now=0.0)
    assert roster.pool_for("base", now=0.0) == Route("std", "base")


def test_a_worker_that_leaves_is_gone_at_once() -> None:
    roster = _roster(_worker("w1"))
    roster.on_presence(_worker("w1", state="leaving"), now=0.1)
    assert not roster.is_ready(now=0.1)


def test_a_worker_that_leaves_lives_on_for_what_it_has() -> None:
    roster = _roster(_worker("w1"))
    roster.on_presence(_worker("w1", state="leaving"), now=0.1)
    assert roster.presence("w1", now=0.2) is not None
    assert roster.presence("w1", now=0.1 + EXPIRES_AFTER_S) is None


def test_a_worker_never_heard_of_may_leave() -> None:
    roster = _roster(_worker("w1", state="leaving"))
    assert not roster.is_ready(now=0.0)


def test_a_silent_worker_does_not_count_even_before_expire_is_called() -> None:
    roster = _roster(_worker("w1"))
    assert roster.is_ready(now=EXPIRES_AFTER_S - 0.01)
    assert not roster.is_ready(now=EXPIRES_AFTER_S)
    assert roster.slots("std", now=EXPIRES_AFTER_S) == 0


def test_expire_names_the_silent_ones_once() -> None:
    roster = _roster(_worker("w2"), _worker("w1"))
    roster.on_presence(_worker("w3"), now=1.0)
    assert roster.expire(now=EXPIRES_AFTER_S) == ("w1", "w2")
    assert roster.expire(now=EXPIRES_AFTER_S) == ()


def test_who_was_there_before_this_process_stood_still_is_there_after_it() -> None:
    roster = _roster(_worker("w1"))
    roster.on_presence(_worker("w2", slots=1), now=1.9)
    assert roster.expire(now=1.9) == ()
    assert roster.is_ready(now=30.0), "asked before anybody looked again"
    assert roster.slots("std", now=30.0) == 3
    assert roster.expire(now=30.0) == ()
    roster.on_presence(_worker("w2", slots=1), now=30.5)
    assert [roster.expire(now=30.0 + step) for step in (0.5, 1.0, 1.5, 2.0)] == [(), (), (), ("w1",)]


def test_a_worker_that_is_forgotten_is_gone_until_it_is_heard_again() -> None:
    roster = _roster(_worker("w1"))
    roster.forget("w1")
    roster.forget("w1")
    assert not roster.is_ready(now=0.0)
    roster.on_presence(_worker("w1"), now=0.1)
    assert roster.is_ready(now=0.1)


def test_a_worker_that_calls_itself_ever_new_names_fills_nothing() -> None:
    roster = _roster()
    for number in range(3000):
        roster.on_presence(_worker("w1", model=f"m{number}"), now=0.0)
    with pytest.raises(NoWorker):
        roster.pool_for("m0", now=0.0)
    with pytest.raises(UnknownModel):
        roster.pool_for("m2000", now=0.0)


def test_a_heartbeat_renews_a_worker() -> None:
    roster = _roster(_worker("w1"))
    roster.on_presence(_worker("w1"), now=1.5)
    assert roster.expire(now=EXPIRES_AFTER_S + 1.0) == ()


def test_after_an_outage_the_workers_known_before_get_their_time_again() -> None:
    roster = _roster(_worker("w1"))
    roster.renew(now=60.0)
    assert roster.is_ready(now=60.0 + EXPIRES_AFTER_S - 0.01)
    assert roster.expire(now=60.0 + EXPIRES_AFTER_S) == ("w1",)


def test_pools_are_those_with_a_live_worker() -> None:
    roster = _roster(_worker("w1", pool="b"), _worker("w2", pool="a"), _worker("w3", pool="a"))
    assert roster.pools(now=0.0) == ("a", "b")
    assert roster.pools(now=EXPIRES_AFTER_S) == ()


def test_slots_add_up_over_the_live_workers_of_a_pool() -> None:
    roster = _roster(_worker("w1", slots=2), _worker("w2", slots=3), _worker("w3", pool="other", slots=7))
    assert roster.slots("std", now=0.0) == 5
    assert roster.slots("nowhere", now=0.0) == 0


def test_the_live_workers_of_a_pool_are_named() -> None:
    roster = _roster(_worker("w1", slots=2), _worker("w2", slots=3), _worker("w3", pool="other", slots=7))
    assert roster.workers("std", now=0.0) == {"w1", "w2"}
    assert roster.workers("nowhere", now=0.0) == set()
    assert roster.workers("std", now=EXPIRES_AFTER_S) == set()


def test_how_long_a_model_has_been_without_a_worker_is_known() -> None:
    roster = _roster(_worker("w1", model="large", aliases=("big",)), _worker("w2"))
    assert roster.unserved_s("large", now=0.0) == roster.unserved_s(None, now=0.0) == 0.0
    roster.on_presence(_worker("w2"), now=4.0)
    roster.on_presence(_worker("w2"), now=8.0)
    for half_s in range(17):
        roster.expire(now=half_s / 2)
    last_live_at = max(half_s / 2 for half_s in range(17) if half_s / 2 < EXPIRES_AFTER_S)
    assert roster.unserved_s("big", now=8.0) == roster.unserved_s("large", now=8.0) == 8.0 - last_live_at
    assert roster.unserved_s(None, now=8.0) == 0.0
    roster.on_presence(_worker("w2", state="leaving"), now=8.5)
    assert roster.unserved_s(None, now=9.0) == 1.0
    assert roster.unserved_s("nonesuch", now=9.0) == Roster().unserved_s(None, now=9.0) == math.inf


def test_who_has_only_just_begun_to_listen_knows_of_nobody_that_he_is_not_there() -> None:
    roster = Roster(listens_since=10.0)
    assert roster.unserved_s("base", now=10.5) == roster.unserved_s(None, now=10.5) == 0.5
    assert roster.unserved_s("base", now=10.0 + EXPIRES_AFTER_S) == math.inf


def test_models_are_named_once_and_sorted() -> None:
    roster = _roster(_worker("w1", model="large"), _worker("w2"), _worker("w3"))
    assert roster.models(now=0.0) == ("base", "large")


def test_a_model_that_nobody_ever_served_is_unknown_and_the_text_says_what_there_is() -> None:
    roster = _roster(_worker("w1", model="large"), _worker("w2"))
    with pytest.raises(UnknownModel, match="available: base, large") as caught:
        roster.pool_for("whatever the client wrote", now=0.0)
    assert "whatever" not in caught.value.message


def test_a_model_whose_workers_are_just_gone_is_no_mistake_of_the_client() -> None:
    roster = _roster(_worker("w1", model="large"), _worker("w2"))
    roster.on_presence(_worker("w1", model="large", state="leaving"), now=0.1)
    with pytest.raises(NoWorker, match="at the moment"):
        roster.pool_for("large", now=0.1)


def test_no_wish_takes_the_default_model_while_it_is_served() -> None:
    roster = Roster(default_model="large")
    roster.on_presence(_worker("w1"), now=0.0)
    assert roster.pool_for(None, now=0.0).model == "base"
    roster.on_presence(_worker("w2", model="large", pool="big"), now=0.0)
    assert roster.pool_for(None, now=0.0) == Route("big", "large")


def test_among_pools_with_one_model_the_one_with_most_slots_is_taken() -> None:
    roster = _roster(_worker("w1", pool="a", slots=1), _worker("w2", pool="b", slots=4))
    assert roster.pool_for("base", now=0.0).pool == "b"


def test_between_equal_pools_the_name_decides() -> None:
    roster = _roster(_worker("w1", pool="b"), _worker("w2", pool="a"))
    assert roster.pool_for("base", now=0.0).pool == "a"


def test_a_pool_name_that_no_subject_could_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="pool must be"):
        Roster().on_presence(_worker("w1", pool="a.b"), now=0.0)


def test_an_alias_leads_to_the_model_that_it_stands_for() -> None:
    roster = _roster(
        _worker("w1", model="base"), _worker("w2", model="smollm2", pool="chat", aliases=("small", "fast"))
    )
    assert roster.pool_for("fast", now=0.0) == Route("chat", "smollm2")


def test_aliases_are_not_listed_beside_the_models() -> None:
    roster = _roster(_worker("w1", aliases=("small",)))
    assert roster.models(now=0.0) == ("base",)
    with pytest.raises(UnknownModel, match="available: base$"):
        roster.pool_for("huge", now=0.0)


def test_an_alias_whose_workers_are_just_gone_is_no_mistake_of_the_client() -> None:
    roster = _roster(_worker("w1", model="large", aliases=("big",)), _worker("w2"))
    roster.on_presence(_worker("w1", model="large", state="leaving"), now=0.1)
    with pytest.raises(NoWorker, match="at the moment"):
        roster.pool_for("big", now=0.1)


def test_a_default_model_may_be_an_alias() -> None:
    roster = Roster(default_model="big")
    roster.on_presence(_worker("w1"), now=0.0)
    roster.on_presence(_worker("w2", model="large", pool="b", aliases=("big",)), now=0.0)
    assert roster.pool_for(None, now=0.0) == Route("b", "large")


def test_among_pools_that_share_an_alias_the_one_with_most_slots_gives_its_own_model() -> None:
    roster = _roster(
        _worker("w1", pool="a", model="small", slots=1, aliases=("default",)),
        _worker("w2", pool="b", model="large", slots=4, aliases=("default",)),
    )
    assert roster.pool_for("default", now=0.0) == Route("b", "large")


def test_finals_use_of_a_pool_what_they_use_of_its_slots() -> None:
    roster = _roster(
        _worker("w1", slots=3, final_load=1.0),
        _worker("w2", slots=1, final_load=0.2),
        _worker("w3", pool="b", final_load=0.5),
    )
    assert roster.final_load("std", now=0.0) == pytest.approx(0.8)
    assert roster.final_load("b", now=0.0) == 0.5
    assert roster.final_load("c", now=0.0) == 0.0


def test_a_load_that_is_no_share_counts_as_the_nearest_one() -> None:
    for said, counts in ((7.0, 1.0), (-1.0, 0.0), (float("nan"), 0.0)):
        assert _roster(_worker("w1", final_load=said)).final_load("std", now=0.0) == counts
    assert _roster(_worker("w1", slots=0, final_load=1.0)).final_load("std", now=0.0) == 0.0


def test_what_is_missing_is_named_by_its_kind() -> None:
    roster = Roster(kind="LLM")
    with pytest.raises(NoWorker, match="^no LLM worker is connected$"):
        roster.pool_for(None, now=0.0)
    roster.on_presence(_worker("w1"), now=0.0)
    with pytest.raises(UnknownModel, match="^no LLM worker serves this model"):
        roster.pool_for("huge", now=0.0)
    roster.on_presence(_worker("w2", model="huge"), now=0.0)
    roster.on_presence(_worker("w2", model="huge", state="leaving"), now=0.0)
    with pytest.raises(NoWorker, match="^no LLM worker for this model"):
        roster.pool_for("huge", now=0.0)


def test_the_newest_heartbeat_of_a_worker_is_known_while_it_lives() -> None:
    roster = _roster(_worker("w1", free_slots=4))
    roster.on_presence(_worker("w1", free_slots=3), now=1.0)
    newest = roster.presence("w1", now=1.0 + EXPIRES_AFTER_S - 0.01)
    assert newest is not None and newest.free_slots == 3
    assert roster.presence("w1", now=1.0 + EXPIRES_AFTER_S) is None
    assert roster.presence("w2", now=1.0) is None


def _roster(*workers: WorkerPresence) -> Roster:
    roster = Roster()
    for worker in workers:
        roster.on_presence(worker, now=0.0)
    return roster


def _worker(
    worker: str,
    *,
    pool: str = "std",
    model: str = "base",
    slots: int = 2,
    state: Literal["ready", "leaving"] = "ready",
    aliases: tuple[str, ...] = (),
    free_slots: int = 0,
    final_load: float = 0.0,
) -> WorkerPresence:
    return WorkerPresence(
        worker=worker,
        pool=pool,
        model=model,
        slots=slots,
        state=state,
        aliases=aliases,
        free_slots=free_slots,
        final_load=final_load,
    )
