from stream_gateway.session.audio_clock import AudioClock


def a_clock(*marks: tuple[int, float]) -> AudioClock:
    clock = AudioClock()
    for sample, at in marks:
        clock.on_audio(sample, at)
    return clock


def test_a_new_clock_has_received_nothing() -> None:
    assert AudioClock().received_sample == 0


def test_a_sample_was_received_with_the_block_that_holds_it() -> None:
    clock = a_clock((1600, 1.0), (3200, 2.0), (4800, 3.0))

    assert clock.received_at(1601) == 2.0
    assert clock.received_at(3200) == 2.0
    assert clock.received_sample == 4800


def test_samples_outside_the_kept_range_take_the_nearest_known_time() -> None:
    clock = a_clock((1600, 1.0), (3200, 2.0))

    assert clock.received_at(0) == 1.0
    assert clock.received_at(9999) == 2.0


def test_small_blocks_share_a_mark_so_that_memory_follows_audio_and_not_frames() -> None:
    clock = a_clock(*((10 * count, float(count)) for count in range(1, 3201)))

    assert len(clock._samples) <= 32_000 // 300
    assert clock.received_sample == 32_000
    assert abs(clock.received_at(16_000) - 1600.0) <= 32


def test_forgetting_keeps_what_comes_after_and_always_the_newest_mark() -> None:
    clock = a_clock((1600, 1.0), (3200, 2.0), (4800, 3.0))

    clock.forget(3200)
    assert clock.received_at(0) == 2.0

    clock.forget(10_000)
    assert clock.received_at(0) == 3.0
    assert clock.received_sample == 4800


def test_forgetting_where_nothing_is_kept_is_harmless() -> None:
    clock = AudioClock()
    clock.forget(100)
    assert clock.received_sample == 0
