from pathlib import Path

import pytest

from bus.transport.assets import AssetLimits, plan_assets
from bus.transport.server_config import MIN_FILE_BYTES, ServerOptions


def test_each_pool_has_one_consumer_per_work_stream() -> None:
    plan = plan_assets(pools=["std", "large"], limits=AssetLimits())
    assert [(c.stream, c.config["name"], c.config["filter_subject"]) for c in plan.consumers] == [
        ("ASR_FINAL", "asr_std", "asr.final.std.>"),
        ("ASR_PARTIAL", "asr_std", "asr.partial.std.>"),
        ("ASR_FINAL", "asr_large", "asr.final.large.>"),
        ("ASR_PARTIAL", "asr_large", "asr.partial.large.>"),
    ]


def test_every_stream_is_bounded_in_bytes_and_in_age() -> None:
    for stream in plan_assets(pools=[], limits=AssetLimits()).streams:
        assert stream["max_bytes"] > 0 and stream["max_age"] > 0, stream["name"]


def test_a_full_queue_of_finals_refuses_and_partials_replace_each_other() -> None:
    finals, partials, _, _ = plan_assets(pools=[], limits=AssetLimits()).streams
    assert (finals["discard"], finals["retention"]) == ("new", "workqueue")
    assert (partials["discard"], partials["max_msgs_per_subject"]) == ("old", 1)


def test_no_duplicate_window_is_longer_than_the_messages_live() -> None:
    for stream in plan_assets(pools=[], limits=AssetLimits()).streams:
        assert stream.get("duplicate_window", 0) <= stream["max_age"]


def test_the_memory_streams_fit_the_embedded_server_twice() -> None:
    limits = AssetLimits()
    reserved = limits.finals_max_bytes + limits.partials_max_bytes
    assert 2 * reserved <= ServerOptions(store_dir=Path("/data")).max_memory_bytes


def test_the_least_disk_of_a_server_is_what_the_file_streams_reserve() -> None:
    streams = plan_assets(pools=[], limits=AssetLimits()).streams
    assert sum(stream["max_bytes"] for stream in streams if stream["storage"] == "file") == MIN_FILE_BYTES


def test_a_pool_name_that_no_subject_could_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="pool must be"):
        plan_assets(pools=["a.b"], limits=AssetLimits())
