from asr_workers.openmp import let_waiting_threads_sleep


def test_waiting_threads_sleep_unless_the_environment_says_otherwise() -> None:
    unset: dict[str, str] = {}
    named = {"OMP_WAIT_POLICY": "active"}

    let_waiting_threads_sleep(unset)
    let_waiting_threads_sleep(named)

    assert unset == {"OMP_WAIT_POLICY": "passive"}
    assert named == {"OMP_WAIT_POLICY": "active"}
