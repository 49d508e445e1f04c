import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_workers.engines.base import Finished, GenerationFailed
from llm_workers.engines.chat_stream import ChatStream


def chunk(content: str | None = None, *, reason: str | None = None, **fields: Any) -> bytes:
    whole = {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}], **fields}
    return json.dumps(whole).encode()


def stream(*, prefill: str = "", repeats: bool = False) -> ChatStream:
    return ChatStream(prefill=prefill, repeats_prefill=repeats, estimated_prompt_tokens=99)


def read(reader: ChatStream, *chunks: bytes) -> str:
    return "".join(piece.text for data in chunks if (piece := reader.on_data(data)) is not None)


def test_pieces_come_as_they_are_and_the_end_has_the_servers_counts() -> None:
    reader = stream()
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}
    text = read(reader, chunk(""), chunk("Hel"), chunk("lo"), chunk(reason="stop"))
    assert text == "Hello"
    assert read(reader, json.dumps({"choices": [], "usage": usage}).encode(), b"[DONE]") == ""
    assert reader.end() == Finished(reason="stop", prompt_tokens=10, completion_tokens=2, cached_tokens=8)


def test_a_server_that_does_not_count_is_counted_for() -> None:
    reader = stream()
    read(reader, chunk("a"), chunk("b"), chunk(reason="length"))
    assert reader.end() == Finished(reason="length", prompt_tokens=99, completion_tokens=2)


@pytest.mark.parametrize(("reason", "meant"), [("stop", "stop"), ("length", "length"), ("content_filter", "stop")])
def test_reasons_of_other_servers_mean_that_the_answer_has_ended(reason: str, meant: str) -> None:
    reader = stream()
    read(reader, chunk("a", reason=reason))
    assert reader.end().reason == meant


def test_a_stream_that_is_cut_has_no_end() -> None:
    reader = stream()
    read(reader, chunk("a"))
    with pytest.raises(GenerationFailed, match="before the end") as failure:
        reader.end()
    assert failure.value.retryable


@pytest.mark.parametrize("error", [{"type": "server_error", "message": "secret words"}, {"code": 500}, "secret words"])
def test_an_error_in_the_stream_is_told_without_its_words(error: Any) -> None:
    with pytest.raises(GenerationFailed) as failure:
        stream().on_data(json.dumps({"error": error}).encode())
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    "data", [b"secret words", b"[]", b'{"choices": 3}', b'{"x":' + b"[" * 50_000, b'"\xff"', b'{"error":{"ty\xff":1}}']
)
def test_what_is_no_chunk_is_a_failure_that_does_not_quote_it(data: bytes) -> None:
    with pytest.raises(GenerationFailed, match="no chat completion chunk") as failure:
        stream().on_data(data)
    assert "secret" not in str(failure.value)


def test_a_chunk_without_a_delta_is_none() -> None:
    assert stream().on_data(b'{"choices": [{"finish_reason": null}]}') is None
    assert stream().on_data(b"{}") is None


@given(st.text(max_size=12), st.text(max_size=12), st.lists(st.integers(0, 24), max_size=5))
def test_a_repeated_beginning_is_taken_off_however_it_is_cut(prefill: str, rest: str, cuts: list[int]) -> None:
    whole = prefill + rest
    borders = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [chunk(whole[a:b]) for a, b in zip(borders, borders[1:], strict=False)]
    assert read(stream(prefill=prefill, repeats=True), *pieces) == rest


def test_a_server_that_does_not_repeat_it_after_all_loses_nothing() -> None:
    assert read(stream(prefill="one two", repeats=True), chunk("one"), chunk(" more"), chunk(" one")) == "one more one"


def test_where_it_is_not_repeated_the_same_words_are_the_models_own() -> None:
    assert read(stream(prefill="ha"), chunk("ha"), chunk(" ha")) == "ha ha"
