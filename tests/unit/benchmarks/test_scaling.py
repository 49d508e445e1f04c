from dataclasses import replace

from benchmarks.scaling import Trial

GOOD = Trial(workers=2, sessions=8, finals_s=(0.7,) * 19 + (2.9,), first_partials_s=(0.4,) * 20, lost=0, errors=0)


def test_sessions_are_held_while_finals_come_in_time() -> None:
    assert GOOD.holds
    assert not replace(GOOD, finals_s=(0.7,) * 18 + (3.1, 3.1)).holds


def test_one_late_final_of_many_does_not_count() -> None:
    assert replace(GOOD, finals_s=(0.7,) * 39 + (9.0,)).holds


def test_a_lost_utterance_or_a_failed_session_is_not_held() -> None:
    assert not replace(GOOD, lost=1).holds
    assert not replace(GOOD, errors=1).holds


def test_sessions_without_any_final_are_not_held() -> None:
    assert not replace(GOOD, finals_s=()).holds


def test_lost_utterances_are_utterances() -> None:
    assert replace(GOOD, lost=2).row()["utterances"] == 22
