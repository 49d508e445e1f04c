from bus.contract.work import AsrResult, AsrTaken, Failure
from stream_gateway.policy.taken import TakenFinals


def a_notice(worker: str = "w1", *, session: str = "s1", segment: int = 1, window: int = 1, seq: int = 1) -> AsrTaken:
    return AsrTaken(
        session=session, segment=segment, window=window, worker=worker, ack_subject=f"$JS.ACK.ASR_FINAL.asr_std.1.{seq}"
    )


def an_answer(worker: str = "w1", *, segment: int = 1, window: int = 1, failed: bool = False) -> AsrResult:
    return AsrResult(
        session="s1",
        segment=segment,
        window=window,
        kind="final",
        worker=worker,
        failure=Failure("decode_failed", "it raised") if failed else None,
    )


def what_they_have(*notices: AsrTaken) -> TakenFinals:
    taken = TakenFinals()
    for notice in notices:
        taken.on_taken(notice, now=0.0)
    return taken


def test_what_a_worker_had_is_handed_back_once_when_it_is_gone() -> None:
    taken = what_they_have(a_notice(seq=1), a_notice(session="s2", seq=2), a_notice("w2", segment=2, seq=3))
    assert taken.workers(now=1.0) == ("w1", "w2")
    assert taken.on_gone("w1", now=1.0) == (a_notice(seq=1), a_notice(session="s2", seq=2))
    assert taken.on_gone("w1", now=1.0) == ()
    assert taken.workers(now=1.0) == ("w2",)


def test_a_notice_that_comes_twice_counts_once() -> None:
    taken = what_they_have(a_notice(), a_notice())
    assert len(taken.on_gone("w1", now=0.0)) == 1


def test_what_is_answered_is_not_handed_back_whoever_answered_it() -> None:
    taken = what_they_have(a_notice("w1", seq=1), a_notice("w2", seq=2), a_notice("w1", window=2, seq=3))
    taken.on_result(an_answer("w2"))
    assert taken.on_gone("w2", now=0.0) == ()
    assert taken.on_gone("w1", now=0.0) == (a_notice("w1", window=2, seq=3),)


def test_the_failure_of_one_worker_leaves_the_other_to_be_watched() -> None:
    taken = what_they_have(a_notice("w1", seq=1), a_notice("w2", seq=2))
    taken.on_result(an_answer("w1", failed=True))
    assert taken.workers(now=0.0) == ("w2",)
    assert taken.on_gone("w2", now=0.0) == (a_notice("w2", seq=2),)


def test_an_answer_to_what_nobody_took_changes_nothing() -> None:
    taken = what_they_have(a_notice())
    taken.on_result(an_answer(segment=2))
    assert taken.workers(now=0.0) == ("w1",)
    TakenFinals().on_result(an_answer())


def test_nothing_of_a_closed_session_is_handed_back() -> None:
    taken = what_they_have(a_notice())
    taken.on_closed("s1")
    taken.on_closed("s1")
    assert taken.workers(now=0.0) == ()


def test_a_final_of_which_nothing_more_is_said_is_forgotten_after_a_while() -> None:
    taken = what_they_have(a_notice())
    assert taken.workers(now=59.0) == ("w1",)
    assert taken.workers(now=60.0) == ()
    assert taken.on_gone("w1", now=60.0) == ()


def test_a_worker_that_takes_without_end_fills_nothing() -> None:
    taken = what_they_have(*(a_notice(window=number, seq=number) for number in range(1000)))
    lost = taken.on_gone("w1", now=0.0)
    assert len(lost) == 64
    assert lost[-1] == a_notice(window=999, seq=999)


def test_a_broker_that_was_away_is_handed_nothing() -> None:
    taken = what_they_have(a_notice())
    taken.clear()
    assert taken.on_gone("w1", now=0.0) == ()
