from pathlib import Path

import pytest

from bus.transport.assets import PRIORITY_GROUP, AssetLimits, plan_assets
from bus.transport.server_config import MIN_FILE_BYTES, ServerOptions


def test_each_pool_has_one_consumer_per_work_stream() -> None:
    plan = plan_assets(pools=["std", "large"], limits=AssetLimits())
    assert [(c.stream, c.config["name"], c.config["filter_subject"]) for c in plan.consumers] == [
        ("ASR_FINAL", "asr_std", "asr.final.std.>"),
        ("ASR_PARTIAL", "asr_std", "asr.partial.std.>"),
        ("ASR_FINAL", "asr_large", "asr.final.large.>"),
        ("ASR_PARTIAL", "asr_large", "asr.partial.large.>"),
    ]


def test_each_llm_pool_has_one_consumer_which_delivers_once() -> None:
    plan = plan_assets(pools=[], llm_pools=["std", "large"], limits=AssetLimits())
    assert [
        (c.stream, c.config["name"], c.config["filter_subject"], c.config["max_deliver"]) for c in plan.consumers
    ] == [
        ("LLM_REQUEST", "llm_std", "llm.req.std.>", 1),
        ("LLM_REQUEST", "llm_large", "llm.req.large.>", 1),
    ]


def test_every_consumer_serves_the_same_priority_group() -> None:
    plan = plan_assets(pools=["std"], llm_pools=["std"], limits=AssetLimits())
    assert {tuple(consumer.config["priority_groups"]) for consumer in plan.consumers} == {(PRIORITY_GROUP,)}


def test_every_stream_is_bounded_in_bytes_and_in_age() -> None:
    for stream in plan_assets(pools=[], limits=AssetLimits()).streams:
        assert stream["max_bytes"] > 0 and stream["max_age"] > 0, stream["name"]


def test_a_full_queue_of_finals_or_of_answers_refuses_and_partials_replace_each_other() -> None:
    finals, partials, chat, *_ = plan_assets(pools=[], limits=AssetLimits()).streams
    assert (finals["discard"], finals["retention"]) == ("new", "workqueue")
    assert (chat["discard"], chat["retention"]) == ("new", "workqueue")
    assert (partials["discard"], partials["max_msgs_per_subject"]) == ("old", 1)


def test_no_duplicate_window_is_longer_than_the_messages_live() -> None:
    for stream in plan_assets(pools=[], limits=AssetLimits()).streams:
        assert stream.get("duplicate_window", 0) <= stream["max_age"]


def test_the_memory_streams_fit_the_embedded_server_twice() -> None:
    limits = AssetLimits()
    streams = plan_assets(pools=[], limits=limits).streams
    reserved = sum(stream["max_bytes"] for stream in streams if stream["storage"] == "memory")
    assert 2 * reserved <= ServerOptions(store_dir=Path("/data")).max_memory_bytes


def test_the_least_disk_of_a_server_is_what_the_file_streams_reserve() -> None:
    streams = plan_assets(pools=[], limits=AssetLimits()).streams
    assert sum(stream["max_bytes"] for stream in streams if stream["storage"] == "file") == MIN_FILE_BYTES


def test_what_the_broker_gives_up_becomes_a_dead_letter() -> None:
    *_, letters = plan_assets(pools=[], limits=AssetLimits()).streams
    for stream in ("ASR_FINAL", "LLM_REQUEST"):
        for event in ("MAX_DELIVERIES", "MSG_TERMINATED"):
            assert f"$JS.EVENT.ADVISORY.CONSUMER.{event}.{stream}.>" in letters["subjects"]


def test_a_pool_name_that_no_subject_could_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="pool must be"):
        plan_assets(pools=["a.b"], limits=AssetLimits())
    with pytest.raises(ValueError, match="pool must be"):
        plan_assets(pools=[], llm_pools=["a.b"], limits=AssetLimits())
