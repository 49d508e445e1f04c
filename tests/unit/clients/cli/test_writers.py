import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract.client_protocol import TranscriptFailed, TranscriptFinal
from bus.contract.work import Word
from clients.cli.writers import SUFFIXES, Format, TranscriptWriter, make_writer, timestamp
from tests.unit.clients.events import failed, final

FORMATS: tuple[Format, ...] = get_args(Format)
HELLO = final(
    3,
    segment=1,
    text="Hello <b> & world.",
    words=(
        Word("Hello", 0.5, 0.9, 0.99),
        Word("<b>", 0.9, 1.0, 0.5),
        Word("&", 1.0, 1.1, 0.5),
        Word("world.", 1.1, 1.5, 0.9),
    ),
    start_s=0.4,
    end_s=1.6,
)


def document(writer: TranscriptWriter, *events: TranscriptFinal | TranscriptFailed, complete: bool = True) -> str:
    pieces = [writer.final(event) if isinstance(event, TranscriptFinal) else writer.failed(event) for event in events]
    return "".join([writer.opening(), *pieces, writer.closing(complete=complete)])


def test_text_is_one_line_per_segment_that_has_words() -> None:
    text = document(
        make_writer("text", label="a.wav"), final(1, text=" two\nwords "), final(2, text=""), failed(3), HELLO
    )
    assert text == "two words\nHello <b> & world.\n"


def test_text_on_a_shared_stream_stands_below_its_label() -> None:
    text = document(make_writer("text", label="a.wav", labelled=True), final(1, text="words"))
    assert text == "==> a.wav <==\nwords\n\n"


def test_text_of_two_channels_names_the_channel() -> None:
    writer = make_writer("text", label="call.wav", channels=2)
    assert document(writer, final(1, text="hello"), final(2, text="hi", channel=1)) == "1: hello\n2: hi\n"


def test_srt_numbers_its_cues_over_all_segments() -> None:
    text = document(
        make_writer("srt", label="a.wav"), HELLO, failed(4), final(5, text="a --> b", start_s=2.0, end_s=2.5)
    )
    assert text == (
        "1\n00:00:00,500 --> 00:00:01,500\nHello <b> & world.\n\n2\n00:00:02,000 --> 00:00:02,500\na -> b\n\n"
    )


def test_vtt_has_a_header_escapes_markup_and_notes_a_gap() -> None:
    text = document(make_writer("vtt", label="a.wav"), HELLO, failed(4, start_s=2.0, end_s=3.0))
    assert text == (
        "WEBVTT\n\n"
        "00:00:00.500 --> 00:00:01.500\nHello &lt;b&gt; &amp; world.\n\n"
        "NOTE no transcript from 00:00:02.000 to 00:00:03.000\n\n"
    )


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_subtitles_of_two_channels_name_the_channel(kind: Format) -> None:
    assert "\n2: hi\n" in document(make_writer(kind, label="call.wav", channels=2), final(2, text="hi", channel=1))


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_an_empty_segment_is_no_cue_even_with_two_channels(kind: Format) -> None:
    assert "-->" not in document(make_writer(kind, label="call.wav", channels=2), final(2, text=" "))


def test_json_is_one_object_with_all_segments() -> None:
    parsed = json.loads(document(make_writer("json", label='a "b".wav'), HELLO, failed(4, segment=2)))
    assert parsed["file"] == 'a "b".wav'
    assert parsed["complete"] is True
    assert [segment["type"] for segment in parsed["segments"]] == ["transcript.final", "transcript.failed"]
    assert parsed["segments"][0]["words"][0] == {"text": "Hello", "start_s": 0.5, "end_s": 0.9, "probability": 0.99}
    assert "seq" not in parsed["segments"][0]


def test_json_of_an_interrupted_recording_is_valid_and_says_so() -> None:
    assert json.loads(document(make_writer("json", label="a.wav"), complete=False)) == {
        "file": "a.wav",
        "segments": [],
        "complete": False,
    }


def test_jsonl_is_valid_line_by_line_and_each_names_its_file() -> None:
    lines = document(make_writer("jsonl", label="a.wav"), HELLO, failed(4)).splitlines()
    assert [json.loads(line)["file"] for line in lines] == ["a.wav", "a.wav"]
    assert [json.loads(line)["type"] for line in lines] == ["transcript.final", "transcript.failed"]


@pytest.mark.parametrize(
    ("time_s", "text"),
    [(-1.0, "00:00:00,000"), (0.0004, "00:00:00,000"), (59.9996, "00:01:00,000"), (360_000.001, "100:00:00,001")],
)
def test_timestamps_round_to_milliseconds_and_carry(time_s: float, text: str) -> None:
    assert timestamp(time_s, ",") == text


def test_every_format_has_a_suffix() -> None:
    assert set(SUFFIXES) == set(FORMATS)


@given(texts=st.lists(st.text(max_size=200), max_size=8), channels=st.integers(1, 2))
def test_any_text_gives_valid_documents(texts: list[str], channels: int) -> None:
    finals = [
        final(number, segment=number, text=text, start_s=float(number), end_s=number + 1.0)
        for number, text in enumerate(texts)
    ]
    parsed = json.loads(document(make_writer("json", label="x", channels=channels), *finals))
    assert [segment["text"] for segment in parsed["segments"]] == texts
    srt = document(make_writer("srt", label="x", channels=channels), *finals)
    blocks = [block for block in srt.split("\n\n") if block]
    assert [block.split("\n", 1)[0] for block in blocks] == [str(number + 1) for number in range(len(blocks))]
    assert all(" --> " in block.split("\n")[1] for block in blocks)
