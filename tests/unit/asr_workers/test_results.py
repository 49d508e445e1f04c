import pytest

from asr_workers.engines.base import Decoded
from asr_workers.results import (
    decoded_result,
    failed_result,
    failure_of,
    is_suspect,
    on_duplicate,
    on_failure,
    on_unreadable,
    retry_delay_s,
    window_of,
)
from bus.contract.work import Failure, OtherVersion, Timings, Word
from tests.unit.asr_workers.requests import request

TIMINGS = Timings(queue_s=0.1, batch_wait_s=0.2, features_s=0.01, encode_s=0.3, decode_s=0.4, batch_size=2)


def test_a_window_carries_all_that_decides_its_text() -> None:
    asked = request(language="de", hotwords="Harken", start_sample=320, word_times=False)
    window = window_of(asked)
    assert (window.pcm, window.start_sample, window.samples) == (asked.pcm, 320, 12_800)
    assert (window.language, window.hotwords, window.task, window.word_times) == ("de", "Harken", "transcribe", False)


def test_a_windows_repr_shows_no_user_words() -> None:
    assert "Harken" not in repr(window_of(request(hotwords="Harken")))


def test_a_result_answers_its_request() -> None:
    decoded = Decoded(text="hi", words=(Word("hi", 0.0, 0.2, 0.9),), language="en", fallback="full_context")
    result = decoded_result(request(session="s9", segment=4, window=7), decoded, timings=TIMINGS, model="m", worker="w")
    assert (result.session, result.segment, result.window, result.kind) == ("s9", 4, 7, "final")
    assert (result.text, result.words, result.language) == ("hi", decoded.words, "en")
    assert (result.fallback, result.model, result.worker, result.timings) == ("full_context", "m", "w", TIMINGS)
    assert result.failure is None


def test_a_failure_names_only_the_class_of_the_error() -> None:
    result = failed_result(request(), failure_of(RuntimeError("the user said: secret")), model="m", worker="w")
    assert result.failure == Failure(code="decode_failed", message="RuntimeError")
    assert result.text == ""


@pytest.mark.parametrize(
    ("kind", "deliveries", "permanent", "action"),
    [
        ("final", 1, False, "retry"),
        ("final", 3, False, "retry"),
        ("final", 4, False, "give_up"),
        ("final", 1, True, "give_up"),
        ("partial", 1, False, "give_up"),
    ],
)
def test_a_failed_window_goes_back_only_if_another_try_may_help(
    kind: str, deliveries: int, permanent: bool, action: str
) -> None:
    chosen = on_failure(
        "final" if kind == "final" else "partial", deliveries=deliveries, max_deliver=4, permanent=permanent
    )
    assert chosen == action


def test_only_a_request_of_another_version_goes_back_and_not_for_ever() -> None:
    assert on_unreadable(OtherVersion("version 2"), deliveries=3, max_deliver=4) == "retry"
    assert on_unreadable(OtherVersion("version 2"), deliveries=4, max_deliver=4) == "give_up"
    assert on_unreadable(ValueError("garbage"), deliveries=1, max_deliver=4) == "give_up"


def test_a_final_that_was_delivered_twice_before_is_suspect_and_a_partial_never() -> None:
    assert is_suspect("final", deliveries=3)
    assert not is_suspect("final", deliveries=2)
    assert not is_suspect("partial", deliveries=3)


@pytest.mark.parametrize(("deliveries", "action"), [(1, "retry"), (2, "retry"), (3, "give_up"), (4, "give_up")])
def test_a_duplicate_goes_back_unless_the_broker_would_soon_give_it_up(deliveries: int, action: str) -> None:
    assert on_duplicate(deliveries=deliveries, max_deliver=4) == action


def test_each_time_that_a_final_fails_here_others_get_longer_to_take_it() -> None:
    assert [retry_delay_s(0.25, deliveries=deliveries) for deliveries in (1, 2, 3)] == [0.25, 1.0, 4.0]
