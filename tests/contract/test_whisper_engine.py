"""Whisper on real weights: what the scripted engine cannot show."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from asr_workers.engines.base import Decoded, EngineOptions, Prepared, Window, decode_to_end
from asr_workers.engines.whisper_ct2 import WhisperCt2Engine
from asr_workers.windows.buckets import FULL_CONTEXT_S
from asr_workers.windows.guards import Guards, is_repetitive
from bus.contract.work import SAMPLE_RATE_HZ, WindowKind

pytestmark = pytest.mark.weights
ROOT = Path(__file__).parents[2]
NAMED_SPEECH_SET = os.environ.get("HARKEN_SPEECH_DATA")
SPEECH_SET = Path(NAMED_SPEECH_SET or ROOT.parent / "shared" / "speech" / "dev")
needs_speech_set = [
    pytest.mark.speech,
    pytest.mark.skipif(
        not NAMED_SPEECH_SET and not SPEECH_SET.is_dir(),
        reason=f"no speech set: HARKEN_SPEECH_DATA is not set, and there is no {SPEECH_SET}",
    ),
]


@pytest.fixture(scope="module")
def engine(whisper_base_path: Path) -> Iterator[WhisperCt2Engine]:
    options = EngineOptions(model_name="base", model_path=whisper_base_path, device="cpu", executors=2)
    opened = WhisperCt2Engine.open(options)
    yield opened
    opened.close()


def pcm_of(path: Path) -> bytes:
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(audio.mean(axis=1), rate, SAMPLE_RATE_HZ)
    return bytes((np.clip(mono, -1, 0.9999) * 32768).astype("<i2").tobytes())


def recordings(kind: str) -> list[dict[str, str]]:
    entries = map(json.loads, (SPEECH_SET / "manifest.jsonl").read_text().splitlines())
    return [entry for entry in entries if entry["kind"] == kind]


def recording(recording_id: str) -> bytes:
    (entry,) = (entry for entry in recordings("multilingual") if entry["id"] == recording_id)
    return pcm_of(SPEECH_SET / entry["path"])


def austen(seconds: float = 8.0, *, prompt: str = "", hotwords: str = "") -> Window:
    pcm = pcm_of(ROOT / "samples" / "austen.flac")[: 2 * int(seconds * SAMPLE_RATE_HZ)]
    return Window(kind="final", pcm=pcm, start_sample=0, language="en", prompt=prompt, hotwords=hotwords)


def _text(engine: WhisperCt2Engine, prepared: Prepared) -> str:
    (outcome,) = engine.decode([prepared])
    assert isinstance(outcome, Decoded)
    return outcome.text


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def test_a_short_context_gives_the_words_of_the_full_one(engine: WhisperCt2Engine) -> None:
    prepared = engine.prepare(austen())
    assert prepared.group.context_s < FULL_CONTEXT_S
    full = replace(prepared, group=prepared.group._replace(context_s=FULL_CONTEXT_S))
    short_text, full_text = (_text(engine, one) for one in (prepared, full))
    shared = set(words(short_text)) & set(words(full_text))
    assert len(shared) > 0.9 * len(set(words(full_text)))


def test_hotwords_and_prompt_make_prefixes_that_always_fit_the_decoder(engine: WhisperCt2Engine) -> None:
    prepared = engine.prepare(austen(prompt="Sense and Sensibility. " * 200, hotwords="Dashwood, " * 300))
    assert prepared.group.prefix_tokens == len(prepared.prefix) <= 223
    assert decode_to_end(engine, prepared.window).text


def test_hotwords_stand_before_the_transcript_and_leave_it_whole(engine: WhisperCt2Engine) -> None:
    plain = engine.prepare(austen())
    named = engine.prepare(austen(hotwords="Dashwood"))
    assert plain.prefix == ()
    assert 0 < named.group.prefix_tokens < 12
    assert "Dashwood" in decode_to_end(engine, austen(hotwords="Dashwood")).text


def test_windows_of_different_languages_share_a_batch(engine: WhisperCt2Engine) -> None:
    english = austen()
    unnamed = Window(kind="final", pcm=english.pcm, start_sample=0)
    spanish = Window(kind="final", pcm=english.pcm, start_sample=0, language="es", task="translate")
    decoded = [
        outcome
        for outcome in engine.decode([engine.prepare(one) for one in (english, unnamed, spanish)])
        if isinstance(outcome, Decoded)
    ]
    assert [one.language for one in decoded] == ["en", "en", "es"]
    assert "John Dashwood" in decoded[0].text
    assert {one.text for one in decoded} == {decoded[0].text}  # taken for Spanish, English translates to itself


def test_an_unknown_language_is_refused_without_being_repeated(engine: WhisperCt2Engine) -> None:
    with pytest.raises(ValueError, match="does not know this language$"):
        engine.prepare(Window(kind="final", pcm=bytes(32_000), start_sample=0, language="xx"))


def test_a_loop_is_decoded_again_with_the_full_context(engine: WhisperCt2Engine) -> None:
    prepared = engine.prepare(austen(4.0))
    # A context that ends with the audio makes Whisper repeat itself until the ceiling stops it.
    (again,) = engine.decode([replace(prepared, group=prepared.group._replace(context_s=4))])
    assert isinstance(again, Prepared)
    assert again.group.context_s == FULL_CONTEXT_S
    assert again.failed is not None and is_repetitive(again.failed, Guards())
    (decoded,) = engine.decode([again])
    assert isinstance(decoded, Decoded)
    assert decoded.fallback == "full_context"
    assert decoded.text.startswith("And Mr. John Dashwood had then")


def test_a_loop_in_a_partial_is_dropped(engine: WhisperCt2Engine) -> None:
    prepared = engine.prepare(replace(austen(4.0), kind="partial"))
    (decoded,) = engine.decode([replace(prepared, group=prepared.group._replace(context_s=4))])
    assert isinstance(decoded, Decoded)
    assert (decoded.text, decoded.words, decoded.suppressed) == ("", (), "repetition")


@pytest.mark.parametrize("kind", ["final", "partial"])
@pytest.mark.parametrize("noise", ["white", "hum", "clicks", "silence"])
def test_made_noise_has_no_text(engine: WhisperCt2Engine, noise: str, kind: WindowKind) -> None:
    decoded = decode_to_end(engine, Window(kind=kind, pcm=_noise(noise), start_sample=0, language="en"))
    assert decoded.text == ""
    assert decoded.words == ()


def _noise(kind: str) -> bytes:
    random = np.random.default_rng(7)
    time_s = np.arange(5 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    wave = {
        "white": random.normal(0, 0.05, time_s.size),
        "hum": 0.2 * np.sin(2 * np.pi * 50 * time_s) + random.normal(0, 0.001, time_s.size),
        "clicks": (random.random(time_s.size) > 0.9999) * 0.7,
        "silence": np.zeros(time_s.size),
    }[kind]
    return bytes((wave * 32767).astype("<i2").tobytes())


class TestOnTheSpeechSet:
    pytestmark = needs_speech_set

    @pytest.mark.slow
    @pytest.mark.timeout(600)
    def test_silence_noise_and_music_have_no_text(self, engine: WhisperCt2Engine) -> None:
        clips = recordings("noise")
        assert clips
        for entry in clips:
            pcm = pcm_of(SPEECH_SET / entry["path"])
            cut = pcm[: 2 * 2 * SAMPLE_RATE_HZ]
            for window in (
                Window(kind="final", pcm=pcm, start_sample=0),
                Window(kind="final", pcm=cut, start_sample=0, language="en"),
                Window(kind="partial", pcm=cut, start_sample=0, language="en"),
            ):
                decoded = decode_to_end(engine, window)
                assert (decoded.text, decoded.words) == ("", ()), entry["id"]

    def test_no_read_sentence_is_taken_for_noise(self, engine: WhisperCt2Engine) -> None:
        entries = [e for e in recordings("read") if e["lang"] == "en" and float(e["duration_s"]) < 12][::12]
        for entry in entries:
            pcm = pcm_of(SPEECH_SET / entry["path"])
            decoded = decode_to_end(engine, Window(kind="final", pcm=pcm, start_sample=0, language="en"))
            assert decoded.suppressed == "", entry["id"]
            assert decoded.text, entry["id"]

    def test_the_language_is_found(self, engine: WhisperCt2Engine) -> None:
        entries = {entry["lang"]: entry for entry in recordings("multilingual") if float(entry["duration_s"]) < 28}
        assert entries
        for language, entry in entries.items():
            pcm = pcm_of(SPEECH_SET / entry["path"])
            decoded = decode_to_end(engine, Window(kind="final", pcm=pcm, start_sample=0))
            assert decoded.language == language, entry["id"]
            assert decoded.text

    def test_a_script_without_blanks_has_characters_as_words(self, engine: WhisperCt2Engine) -> None:
        entry = next(e for e in recordings("multilingual") if e["lang"] == "zh")
        window = Window(kind="final", pcm=pcm_of(SPEECH_SET / entry["path"]), start_sample=0, language="zh")
        decoded = decode_to_end(engine, window)
        assert "".join(word.text for word in decoded.words) == decoded.text.replace(" ", "")

    @pytest.mark.parametrize(
        ("recording_id", "english", "german"),
        [
            ("thorsten-gt03", {"europe", "and", "asia", "are", "also"}, {"europa", "und", "asien", "wird", "auch"}),
            ("thorsten-gt04", {"your", "plan", "worked"}, {"euer", "hat", "geklappt"}),
        ],
    )
    def test_a_translation_is_english_and_has_words(
        self, engine: WhisperCt2Engine, recording_id: str, english: set[str], german: set[str]
    ) -> None:
        window = Window(kind="final", pcm=recording(recording_id), start_sample=0, language="de", task="translate")
        decoded = decode_to_end(engine, window)
        said = set(words(decoded.text))
        assert english <= said
        assert not german & said
        assert " ".join(word.text for word in decoded.words) == decoded.text


def test_shown_words_that_fit_the_audio_stand_as_they_were_shown(engine: WhisperCt2Engine) -> None:
    plain = decode_to_end(engine, austen(4.0)).text
    assert plain.split()[:3] == ["And", "Mr.", "John"]
    decoded = decode_to_end(engine, replace(austen(4.0), draft="And Mr John"))
    assert decoded.text == plain.replace("Mr.", "Mr")
    assert " ".join(word.text for word in decoded.words) == decoded.text


def test_a_draft_that_ends_late_in_the_audio_gives_the_same_text_as_one_whose_end_is_not_known(
    engine: WhisperCt2Engine,
) -> None:
    plain = decode_to_end(engine, austen(4.0))
    *shown, last = plain.words
    draft = " ".join(word.text for word in shown)
    window = replace(austen(4.0), draft=draft, draft_end_sample=round(last.start_s * SAMPLE_RATE_HZ))
    assert decode_to_end(engine, window).text == plain.text


def test_what_follows_a_draft_that_ends_too_late_is_given_all_the_same(engine: WhisperCt2Engine) -> None:
    plain = decode_to_end(engine, austen(8.0)).text
    draft = " ".join(plain.split()[:3])
    window = replace(austen(8.0), draft=draft, draft_end_sample=8 * SAMPLE_RATE_HZ)
    assert decode_to_end(engine, window).text == plain


def test_a_shown_word_that_nobody_said_gives_way(engine: WhisperCt2Engine) -> None:
    plain = decode_to_end(engine, austen(4.0)).text
    assert decode_to_end(engine, replace(austen(4.0), draft="Elephants eat")).text == plain


def test_known_text_that_is_wrong_is_not_repeated_over_what_follows(engine: WhisperCt2Engine) -> None:
    whole = austen(8.0)
    window = replace(whole, prior_samples=4 * SAMPLE_RATE_HZ, prior_text="wait a second. " * 6)
    assert "wait" not in decode_to_end(engine, window).text.lower()


def test_known_text_that_leaves_the_decoder_no_room_is_left_out(engine: WhisperCt2Engine) -> None:
    window = replace(austen(8.0), prior_samples=4 * SAMPLE_RATE_HZ, prior_text="Sense and Sensibility. " * 60)
    assert engine.prepare(window).prior == ()
    assert engine.prepare(window).window.duration_s == 4.0


@pytest.mark.parametrize("level", [15, 400])
def test_noise_after_a_sentence_is_not_taken_for_the_sentence_once_more(engine: WhisperCt2Engine, level: int) -> None:
    sentence = austen(4.0)
    noise = np.random.default_rng(3).normal(0, level, 2 * SAMPLE_RATE_HZ).astype("<i2").tobytes()
    text = decode_to_end(engine, sentence).text
    window = replace(sentence, pcm=sentence.pcm + noise, prior_samples=sentence.samples, prior_text=text)
    assert decode_to_end(engine, window).text == ""
