from asr_workers.cancelled import Cancelled, WindowKey


def test_a_cancelled_window_is_remembered_and_no_other() -> None:
    cancelled = Cancelled()
    cancelled.add(WindowKey("s1", 1, 2))
    cancelled.add(WindowKey("s1", 1, 2))
    assert WindowKey("s1", 1, 2) in cancelled
    assert WindowKey("s1", 1, 3) not in cancelled
    assert WindowKey("s2", 1, 2) not in cancelled


def test_the_oldest_cancels_are_forgotten() -> None:
    cancelled = Cancelled(max_remembered=2)
    keys = [WindowKey("s1", segment, 1) for segment in range(3)]
    for key in keys:
        cancelled.add(key)
    assert [key in cancelled for key in keys] == [False, True, True]
