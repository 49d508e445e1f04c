"""One final by hand: times of messages are on the clock on which the recording began at 100 s."""

import pytest

from benchmarks.playback import Played
from benchmarks.stages import Passing, Stages, stages
from bus.contract.client_protocol import StageTimes, TranscriptFinal
from bus.contract.work import AsrResult, Failure, Timings

WORKER = Timings(queue_s=0.002, batch_wait_s=0.013, features_s=0.01, encode_s=0.2, decode_s=0.1, batch_size=1)


def final(*, endpoint_s: float, publish_s: float, total_s: float, end_s: float = 2.04) -> TranscriptFinal:
    times = StageTimes(
        endpoint_s=endpoint_s, queue_s=0.002, batch_wait_s=0.013, encode_s=0.2, decode_s=0.1, publish_s=publish_s,
        total_s=total_s,
    )  # fmt: skip
    return TranscriptFinal(
        seq=1, segment=3, channel=0, start_s=1.0, end_s=end_s, text="So.", words=(), language="en", model="base",
        times=times,
    )  # fmt: skip


def answer(window: int, *, failure: Failure | None = None) -> AsrResult:
    timings = None if failure else WORKER
    return AsrResult(session="s", segment=3, window=window, kind="final", timings=timings, failure=failure)


def taken(one: TranscriptFinal, passing: Passing, *, at: float) -> Stages:
    sent_at = [0.1 * (number + 1) for number in range(30)]
    (found,) = stages(Played([(at, one)], session="s", began_at=100.0, sent_at=sent_at), {("s", 3): passing})
    return found


def test_an_answer_that_was_there_before_the_endpoint_costs_only_store_and_socket() -> None:
    passing = Passing()
    passing.on_request(7, 102.32)
    passing.on_result(answer(7), 102.65)
    # Spoken until 2.04 s, in the chunk that was sent at 2.1 s; the final came 0.507 s later.
    found = taken(final(endpoint_s=0.5, publish_s=0.003, total_s=0.503), passing, at=2.607)
    assert found.is_tentative
    assert (found.answer_s, found.gateway_s) == (0, 0)
    assert found.store_s == pytest.approx(0.003)
    assert found.socket_s == pytest.approx(0.004)
    assert found.overhead_s == pytest.approx(0.007)


def test_of_a_way_that_is_waited_for_all_counts_but_what_the_model_takes() -> None:
    passing = Passing()
    passing.on_request(7, 102.303)
    passing.on_result(answer(7), 102.622)
    found = taken(final(endpoint_s=0.2, publish_s=0.003, total_s=0.525), passing, at=2.629)
    assert not found.is_tentative
    assert found.answer_s == pytest.approx(0.012)
    assert (found.queue_s, found.features_s) == (0.002, 0.01)
    assert found.model_s == pytest.approx(0.3)
    assert found.batch_wait_s == pytest.approx(0.003)
    assert found.worker_s == pytest.approx(0.004)
    assert found.gateway_s == pytest.approx(0.003)
    assert found.overhead_s == pytest.approx(0.019)


def test_a_decode_that_outlasts_the_endpoint_is_no_overhead() -> None:
    passing = Passing()
    passing.on_request(7, 102.32)
    passing.on_result(answer(7), 102.7)
    found = taken(final(endpoint_s=0.5, publish_s=0.003, total_s=0.603), passing, at=2.707)
    assert (found.is_tentative, found.answer_s) == (True, 0)
    assert found.overhead_s == pytest.approx(0.007)


def test_the_window_of_a_speech_that_resumed_does_not_count() -> None:
    passing = Passing()
    passing.on_request(7, 101.5)
    passing.on_result(answer(7), 101.9)
    passing.on_request(8, 102.303)
    passing.on_request(8, 109.0)  # another attempt: the first was heard
    passing.on_result(answer(8), 102.622)
    found = taken(final(endpoint_s=0.2, publish_s=0.003, total_s=0.525), passing, at=2.629)
    assert found.worker_s == pytest.approx(0.004)


def test_a_final_whose_messages_were_not_seen_has_no_stages() -> None:
    one = final(endpoint_s=0.2, publish_s=0.003, total_s=0.525)
    failed = Passing()
    failed.on_result(answer(7, failure=Failure("decode_failed", "why")), 102.6)
    assert not list(stages(Played([(2.7, one)], session="s"), {("s", 3): failed}))
    assert not list(stages(Played([(2.7, one)], session="s"), {}))


def test_speech_that_ends_with_a_chunk_was_sent_with_it() -> None:
    passing = Passing()
    passing.on_result(answer(7), 102.7)
    one = final(endpoint_s=0.5, publish_s=0.003, total_s=0.503, end_s=2.1)
    assert taken(one, passing, at=2.607).socket_s == pytest.approx(0.004)
