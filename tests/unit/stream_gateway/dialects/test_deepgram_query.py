from urllib.parse import parse_qs

import pytest

from bus.contract.client_protocol import AudioFormat, SessionStart, VadOptions
from bus.contract.errors import HarkenError, InvalidMessage, UnsupportedAudio
from stream_gateway.dialects.deepgram_query import Wishes, read_query


def wishes(query: str) -> Wishes:
    return read_query(parse_qs(query, keep_blank_values=True))


def test_an_empty_query_is_english_in_a_container_without_interims() -> None:
    start = SessionStart(audio=AudioFormat(encoding="container"), language="en", partials=False)
    assert wishes("") == Wishes(start=start, bytes_per_s=None)


@pytest.mark.parametrize(
    ("query", "audio", "bytes_per_s"),
    [
        ("encoding=linear16&sample_rate=48000", AudioFormat(sample_rate=48_000), 96_000),
        ("encoding=linear16", AudioFormat(), 32_000),
        ("encoding=LINEAR32&sample_rate=8000", AudioFormat(encoding="float32", sample_rate=8_000), 32_000),
        ("encoding=mulaw", AudioFormat(encoding="mulaw", sample_rate=8_000), 8_000),
        ("encoding=alaw&sample_rate=16000", AudioFormat(encoding="alaw"), 16_000),
        ("encoding=linear16&channels=2", AudioFormat(channels=2), 64_000),
        (
            "encoding=linear16&channels=2&multichannel=true",
            AudioFormat(channels=2, channel_mode="separate"),
            64_000,
        ),
        ("encoding=linear16&multichannel=true", AudioFormat(), 32_000),
        (
            "multichannel=true",
            AudioFormat(encoding="container", channels=2, channel_mode="separate"),
            None,
        ),
        ("encoding=ogg-opus&sample_rate=48000", AudioFormat(encoding="container"), None),
        ("encoding=", AudioFormat(encoding="container"), None),
    ],
)
def test_audio_is_spelled_in_our_terms(query: str, audio: AudioFormat, bytes_per_s: int | None) -> None:
    found = wishes(query)
    assert (found.start.audio, found.bytes_per_s) == (audio, bytes_per_s)


@pytest.mark.parametrize(
    ("query", "kind", "named"),
    [
        ("callback=http://example.org", InvalidMessage, "callback"),
        ("encoding=amr-wb", UnsupportedAudio, "encoding must be one of linear16, linear32, mulaw, alaw, flac"),
        ("encoding=linear16&channels=0", UnsupportedAudio, "channels"),
        ("channels=3", UnsupportedAudio, "channels"),
        ("channels=two", InvalidMessage, "channels must be a whole number"),
        ("encoding=linear16&sample_rate=-1", InvalidMessage, "sample_rate must be a whole number"),
        ("encoding=linear16&sample_rate=4000", UnsupportedAudio, "sample_rate must be from 8000"),
        ("encoding=linear16&sample_rate=" + "9" * 5000, InvalidMessage, "sample_rate"),
        ("endpointing=soon", InvalidMessage, "endpointing"),
        ("utterance_end_ms=1.5", InvalidMessage, "utterance_end_ms"),
        ("interim_results=maybe", InvalidMessage, "interim_results must be true or false"),
    ],
)
def test_what_cannot_be_is_named(query: str, kind: type[HarkenError], named: str) -> None:
    with pytest.raises(kind, match=named):
        wishes(query)


@pytest.mark.parametrize(
    ("query", "vad", "tells"),
    [
        ("", VadOptions(), True),
        ("endpointing=true", VadOptions(), True),
        ("endpointing=", VadOptions(), True),
        ("endpointing=false", VadOptions(), False),
        ("endpointing=0", VadOptions(), False),
        ("endpointing=10", VadOptions(endpoint_s=0.2, endpoint_mode="fixed"), True),
        ("endpointing=1", VadOptions(endpoint_s=0.2, endpoint_mode="fixed"), True),
        ("endpointing=300", VadOptions(endpoint_s=0.3, endpoint_mode="fixed"), True),
        ("endpointing=9000", VadOptions(endpoint_s=5.0, endpoint_mode="fixed"), True),
    ],
)
def test_endpointing_is_the_nearest_silence_that_ours_can_be(query: str, vad: VadOptions, tells: bool) -> None:
    found = wishes(query)
    assert (found.start.vad, found.speech_final) == (vad, tells)


@pytest.mark.parametrize(("given", "taken"), [("500", 1.0), ("1500", 1.5), ("90000", 60.0)])
def test_the_end_of_utterances_is_told_after_a_second_at_the_least(given: str, taken: float) -> None:
    assert wishes(f"utterance_end_ms={given}").utterance_end_s == taken


@pytest.mark.parametrize(
    ("query", "language"),
    [
        ("language=de", "de"),
        ("language=pt-BR", "pt"),
        ("language=multi", None),
        ("language=de&detect_language=true", None),
        ("language=", "en"),
    ],
)
def test_a_language_is_taken_without_its_region(query: str, language: str | None) -> None:
    assert wishes(query).start.language == language


def test_keyterms_and_keywords_with_a_boost_are_words_to_listen_for() -> None:
    query = "keyterm=Harken&keyterm=&keyterm=two+words&keywords=alpha:2&keywords=beta&keywords=gamma:-3&keywords=a:b"
    assert wishes(query).start.hotwords == ("Harken", "two words", "alpha", "beta", "a:b")


@pytest.mark.parametrize("name", ["punctuate", "smart_format"])
def test_punctuation_is_asked_for_by_either_name(name: str) -> None:
    assert wishes(f"{name}=true").punctuate
    assert not wishes(f"{name}=false").punctuate


def test_interims_and_voice_events_are_switched_on_and_unknown_parameters_are_passed_over() -> None:
    found = wishes("interim_results=1&vad_events=TRUE&model=nova-3&tag=a&no_delay=whatever&redact=pci&diarize=true")
    assert found.start.partials
    assert found.vad_events
    assert found.start.model is None
