from llm_workers.cancelled import AnswerKey, Cancelled


def test_a_cancel_means_attempts_up_to_its_own_and_no_other_answer() -> None:
    cancelled = Cancelled()
    cancelled.add(AnswerKey("s1", 2), upto_attempt=3)
    assert [cancelled.covers(AnswerKey("s1", 2), attempt) for attempt in (1, 3, 4)] == [True, True, False]
    assert not cancelled.covers(AnswerKey("s1", 1), 1)
    assert not cancelled.covers(AnswerKey("s2", 2), 1)


def test_a_late_cancel_of_earlier_attempts_takes_nothing_back() -> None:
    cancelled = Cancelled()
    cancelled.add(AnswerKey("s1", 1), upto_attempt=3)
    cancelled.add(AnswerKey("s1", 1), upto_attempt=1)
    assert cancelled.covers(AnswerKey("s1", 1), 3)


def test_the_oldest_cancels_are_forgotten() -> None:
    cancelled = Cancelled(max_remembered=2)
    keys = [AnswerKey("s1", answer) for answer in (1, 2, 3)]
    for key in keys:
        cancelled.add(key, upto_attempt=1)
    assert [cancelled.covers(key, 1) for key in keys] == [False, True, True]
