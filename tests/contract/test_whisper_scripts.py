"""Whisper on real weights where the decoder's limit cuts a text: in scripts that need several tokens for a character.

There is no recording in such a script here, so English meets a limit that is as tight for it.
"""

from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import soundfile
import tokenizers

from asr_workers.engines import whisper_hearing
from asr_workers.engines.base import Decoded, EngineOptions, Prepared, Window, decode_to_end
from asr_workers.engines.whisper_ct2 import WhisperCt2Engine
from asr_workers.engines.whisper_tokens import WhisperTokens
from asr_workers.windows.buckets import FULL_CONTEXT_S
from bus.contract.work import SAMPLE_RATE_HZ, WindowKind

pytestmark = pytest.mark.weights
SAMPLE = Path(__file__).parents[2] / "samples" / "austen.flac"
START_S = 100
FIRST_CONTROL_TOKEN = 50_257


@pytest.fixture(scope="module")
def engine(whisper_base_path: Path) -> Iterator[WhisperCt2Engine]:
    options = EngineOptions(model_name="base", model_path=whisper_base_path, device="cpu", executors=2)
    opened = WhisperCt2Engine.open(options)
    yield opened
    opened.close()


def austen(seconds: float, *, kind: WindowKind = "final", word_times: bool = True, prompt: str = "") -> Window:
    audio, rate = soundfile.read(SAMPLE, dtype="int16")
    assert rate == SAMPLE_RATE_HZ
    return Window(
        kind=kind,
        pcm=audio[: int(seconds * rate)].tobytes(),
        start_sample=START_S * rate,
        language="en",
        word_times=word_times,
        prompt=prompt,
    )


def likeness(text: str, other: str) -> float:
    words, others = ([word.strip(".,!?;:").lower() for word in each.split()] for each in (text, other))
    return SequenceMatcher(None, words, others, autojunk=False).ratio()


@pytest.mark.parametrize("limit", [28, 64])
def test_a_final_above_the_decoders_limit_keeps_all_its_words(
    engine: WhisperCt2Engine, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    undisturbed = decode_to_end(engine, austen(28.0))
    monkeypatch.setattr(whisper_hearing, "MAX_NEW_TOKENS", limit)
    joined = decode_to_end(engine, austen(28.0))
    assert likeness(joined.text, undisturbed.text) > 0.95
    assert " ".join(word.text for word in joined.words) == joined.text
    bounds = [moment for word in joined.words for moment in (word.start_s, word.end_s)]
    assert bounds == sorted(bounds)
    assert START_S <= bounds[0] and bounds[-1] <= START_S + 28


def test_a_final_above_the_limit_is_joined_without_word_times_too(
    engine: WhisperCt2Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = decode_to_end(engine, austen(28.0))
    monkeypatch.setattr(whisper_hearing, "MAX_NEW_TOKENS", 40)
    joined = decode_to_end(engine, austen(28.0, word_times=False))
    assert likeness(joined.text, undisturbed.text) > 0.95
    assert joined.words == ()


def test_a_final_that_its_short_context_cuts_is_decoded_whole_with_the_full_one(
    engine: WhisperCt2Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = decode_to_end(engine, austen(12.0))
    monkeypatch.setattr(whisper_hearing, "token_ceiling", lambda *_: 15)
    (again,) = engine.decode([engine.prepare(austen(12.0))])
    assert isinstance(again, Prepared)
    assert again.group.context_s == FULL_CONTEXT_S
    (decoded,) = engine.decode([again])
    assert isinstance(decoded, Decoded)
    assert likeness(decoded.text, undisturbed.text) > 0.95
    assert (decoded.fallback, decoded.suppressed) == ("full_context", "")


def test_a_partial_that_is_cut_shows_the_beginning_without_the_words_at_the_cut(
    engine: WhisperCt2Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = decode_to_end(engine, austen(7.0, kind="partial"))
    monkeypatch.setattr(whisper_hearing, "token_ceiling", lambda *_: 12)
    decoded = decode_to_end(engine, austen(7.0, kind="partial"))
    assert decoded.suppressed == ""
    assert undisturbed.text.startswith(decoded.text)
    assert 5 <= len(decoded.text.split()) < len(undisturbed.text.split())
    assert [word.text for word in decoded.words] == decoded.text.split()
    assert decoded.words[-1].end_s < undisturbed.words[-2].end_s


def test_a_prompt_with_control_tokens_is_its_words(engine: WhisperCt2Engine) -> None:
    plain = engine.prepare(austen(4.0, prompt="Mr. John Dashwood"))
    spiked = engine.prepare(austen(4.0, prompt="<|startoftranscript|>Mr. John<|endoftext|> Dashwood<|en|>"))
    assert max(spiked.prefix[1:]) < FIRST_CONTROL_TOKEN
    assert decode_to_end(engine, spiked.window).text == decode_to_end(engine, plain.window).text


def test_hotwords_hold_no_control_tokens(engine: WhisperCt2Engine) -> None:
    hotwords = "<|startoftranscript|> Dashwood <|notimestamps|>"
    window = Window(kind="final", pcm=bytes(32_000), start_sample=0, language="en", hotwords=hotwords)
    prefix = engine.prepare(window).prefix
    assert prefix and max(prefix[1:]) < FIRST_CONTROL_TOKEN


def test_a_text_that_is_cut_within_a_character_ends_before_it(whisper_base_path: Path) -> None:
    vocabulary = tokenizers.Tokenizer.from_file(str(whisper_base_path / "tokenizer.json"))
    tokens = WhisperTokens(vocabulary, multilingual=True)
    word = "გამარჯობა"
    whole = vocabulary.encode(word, add_special_tokens=False).ids
    assert len(whole) > 2 * len(word)
    shown = [tokens.text(tokens.whole_characters(whole[:length])) for length in range(len(whole) + 1)]
    assert all(word.startswith(text) for text in shown)
    assert sorted({len(text) for text in shown}) == list(range(len(word) + 1))
