import pytest

from bus.contract.client_protocol import ChatOptions, SessionStart, VadOptions
from bus.contract.errors import InvalidMessage
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.segmentation.segmenter import SegmenterOptions
from stream_gateway.session.config import check_start, endpoint_options, segmenter_options


@pytest.mark.parametrize(
    "start",
    [
        SessionStart(),
        SessionStart(language="de", prompt="x" * 1000, hotwords=("w" * 10,) * 100),
        SessionStart(vad=VadOptions(threshold=0.05, endpoint_s=0.2, max_utterance_s=5.0)),
        SessionStart(vad=VadOptions(enabled=False, max_utterance_s=10.0)),
        SessionStart(vad=VadOptions(threshold=0.95, endpoint_s=5.0, max_utterance_s=28.0)),
        SessionStart(audio=None, chat=ChatOptions()),
    ],
)
def test_wishes_within_their_ranges_pass(start: SessionStart) -> None:
    check_start(start)


@pytest.mark.parametrize(
    ("start", "named"),
    [
        (SessionStart(audio=None), "audio, chat or both"),
        (SessionStart(chat=ChatOptions(max_tokens=0)), "chat.max_tokens"),
        (SessionStart(language="english"), "language"),
        (SessionStart(language=""), "language"),
        (SessionStart(prompt="x" * 1001), "prompt"),
        (SessionStart(hotwords=("w",) * 101), "hotwords"),
        (SessionStart(hotwords=("w" * 1001,)), "hotwords"),
        (SessionStart(vad=VadOptions(threshold=0.04)), "vad.threshold"),
        (SessionStart(vad=VadOptions(threshold=0.96)), "vad.threshold"),
        (SessionStart(vad=VadOptions(enabled=False, threshold=0.5)), "vad.enabled"),
        (SessionStart(vad=VadOptions(enabled=False, endpoint_s=0.5)), "vad.enabled"),
        (SessionStart(vad=VadOptions(endpoint_s=0.1)), "vad.endpoint_s"),
        (SessionStart(vad=VadOptions(max_utterance_s=29.0)), "vad.max_utterance_s"),
        (SessionStart(vad=VadOptions(max_utterance_s=float("nan"))), "vad.max_utterance_s"),
    ],
)
def test_a_wish_outside_its_range_is_refused_by_name(start: SessionStart, named: str) -> None:
    with pytest.raises(InvalidMessage, match=named):
        check_start(start)


def test_refusals_hold_no_user_words() -> None:
    with pytest.raises(InvalidMessage) as refusal:
        check_start(SessionStart(prompt="secret" * 200))
    assert "secret" not in refusal.value.message


def test_no_wishes_leave_the_service_defaults() -> None:
    defaults = SegmenterOptions(threshold=0.6, release_threshold=0.4, endpoint_s=0.8)
    assert segmenter_options(VadOptions(), defaults) == defaults


def test_a_threshold_of_the_client_brings_its_own_release_threshold() -> None:
    options = segmenter_options(VadOptions(threshold=0.2), SegmenterOptions(threshold=0.6, release_threshold=0.5))
    assert options.threshold == 0.2
    assert options.release < 0.2


def test_wishes_replace_the_defaults() -> None:
    options = segmenter_options(VadOptions(endpoint_s=1.5, max_utterance_s=12.0), SegmenterOptions())
    assert (options.endpoint_s, options.max_utterance_s) == (1.5, 12.0)


@pytest.mark.parametrize("threshold", [0.05, 0.95, None])
@pytest.mark.parametrize("endpoint_s", [0.2, 5.0, None])
@pytest.mark.parametrize("max_utterance_s", [5.0, 28.0, None])
def test_wishes_in_range_never_contradict_the_service_defaults(
    threshold: float | None, endpoint_s: float | None, max_utterance_s: float | None
) -> None:
    vad = VadOptions(threshold=threshold, endpoint_s=endpoint_s, max_utterance_s=max_utterance_s)
    check_start(SessionStart(vad=vad))

    segmenter_options(vad, SegmenterOptions(tentative_s=0.6, endpoint_s=0.8, post_roll_s=0.5))


def test_the_endpoint_mode_is_the_clients_or_else_the_services() -> None:
    defaults = EndpointOptions(mode="adaptive", sentence_factor=0.5)
    assert endpoint_options(VadOptions(), defaults) == defaults
    assert endpoint_options(VadOptions(endpoint_mode="fixed"), defaults).mode == "fixed"
    assert endpoint_options(VadOptions(endpoint_mode="adaptive"), EndpointOptions()).mode == "adaptive"
