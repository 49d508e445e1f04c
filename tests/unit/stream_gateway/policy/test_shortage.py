from stream_gateway.policy.shortage import ProcessLimits, Shortage

LIMITS = ProcessLimits(max_process_lag_s=0.5, max_memory_bytes=1000)


def a_process(limits: ProcessLimits = LIMITS) -> Shortage:
    process = Shortage(limits)
    process.look(lag_s=0.0, waited_s=0.1, scored_s=1.0, memory_bytes=500, now=0.0)
    return process


def test_a_process_within_its_limits_lacks_nothing() -> None:
    process = a_process()
    assert (process.lack, process.lag_s) == (None, 0.0)


def test_one_late_moment_is_no_lack_of_time_and_many_are() -> None:
    process = a_process()
    process.look(lag_s=1.0, waited_s=0.1, scored_s=1.0, memory_bytes=500, now=0.25)
    assert process.lack is None
    for quarter in range(2, 12):
        process.look(lag_s=1.0, waited_s=0.1, scored_s=1.0, memory_bytes=500, now=quarter / 4)
    assert process.lack == "time"


def test_a_process_has_time_again_only_well_below_the_limit() -> None:
    process = a_process()
    for now in range(1, 20):
        process.look(lag_s=1.0, waited_s=0.1, scored_s=1.0, memory_bytes=500, now=float(now))
    while process.lag_s > 0.45:
        now += 1
        process.look(lag_s=0.43, waited_s=0.1, scored_s=1.0, memory_bytes=500, now=float(now))
    assert process.lack == "time"
    for later in range(1, 20):
        process.look(lag_s=0.0, waited_s=0.1, scored_s=1.0, memory_bytes=500, now=float(now + later))
    assert process.lack is None


def test_a_process_that_detects_speech_nearly_all_the_time_has_no_time_for_more() -> None:
    process = a_process()
    shares = [1.0] * 20 + [0.75] * 80 + [0.5] * 20
    lacks = []
    for number, share in enumerate(shares, start=1):
        process.look(lag_s=0.0, waited_s=share, scored_s=1.0, memory_bytes=500, now=number / 4)
        lacks.append(process.lack)
    assert lacks[3] is None, "for a second that is a long file"
    assert lacks[19] == lacks[99] == "time"
    assert lacks[-1] is None
    assert process.scoring_share < 0.6


def test_memory_is_lacking_from_its_limit_on_until_well_below_it() -> None:
    process = a_process()
    lacks = []
    for now, used in enumerate((1000, 1001, 900, 801, 799), start=1):
        process.look(lag_s=0.0, waited_s=0.1, scored_s=1.0, memory_bytes=used, now=float(now))
        lacks.append(process.lack)
    assert lacks == [None, "memory", "memory", "memory", None]


def test_a_lack_of_memory_is_the_worse_one() -> None:
    process = a_process()
    for now in range(1, 20):
        process.look(lag_s=9.0, waited_s=0.1, scored_s=1.0, memory_bytes=2000, now=float(now))
    assert process.lack == "memory"


def test_without_a_limit_memory_is_never_lacking() -> None:
    process = a_process(ProcessLimits())
    process.look(lag_s=0.0, waited_s=0.1, scored_s=1.0, memory_bytes=1 << 60, now=1.0)
    assert process.lack is None
