from bus.control.restart_policy import Restart, RestartOptions, RestartPolicy

OPTIONS = RestartOptions(first_delay_s=0.5, max_delay_s=3.0, healthy_after_s=10.0)


def crash_after(policy: RestartPolicy, started_at: float, ran_s: float) -> Restart:
    policy.on_start(started_at)
    return policy.on_exit(started_at + ran_s)


def test_the_delay_doubles_from_crash_to_crash_up_to_the_cap() -> None:
    policy = RestartPolicy(OPTIONS)
    restarts = [crash_after(policy, t, ran_s=1.0) for t in (0.0, 10.0, 20.0, 30.0, 40.0)]
    assert [r.delay_s for r in restarts] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert [r.crashes_in_a_row for r in restarts] == [1, 2, 3, 4, 5]


def test_a_healthy_run_makes_the_next_crash_the_first_again() -> None:
    policy = RestartPolicy(OPTIONS)
    crash_after(policy, 0.0, ran_s=1.0)
    crash_after(policy, 2.0, ran_s=1.0)
    assert crash_after(policy, 5.0, ran_s=10.0) == Restart(0.5, 1)


def test_a_run_just_short_of_healthy_counts_as_a_crash_in_a_row() -> None:
    policy = RestartPolicy(OPTIONS)
    crash_after(policy, 0.0, ran_s=1.0)
    assert crash_after(policy, 2.0, ran_s=9.99) == Restart(1.0, 2)


def test_any_number_of_crashes_keeps_the_delay_at_the_cap() -> None:
    policy = RestartPolicy(OPTIONS)
    for n in range(2000):
        restart = crash_after(policy, float(n), ran_s=0.0)
    assert restart == Restart(3.0, 2000)
