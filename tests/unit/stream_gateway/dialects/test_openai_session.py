from typing import Any

import msgspec
import pytest

from bus.contract.client_protocol import AudioFormat, VadOptions
from stream_gateway.dialects.openai_report import session_report
from stream_gateway.dialects.openai_session import SessionPatch, Settings, TurnDetection
from stream_gateway.dialects.openai_wire import Refusal


def patched(settings: Settings, **session: Any) -> Settings:
    return settings.merged(msgspec.convert(session, SessionPatch))


def with_input(settings: Settings | None = None, **audio: Any) -> Settings:
    return patched(settings or Settings(kind="realtime"), audio={"input": audio})


def refused(settings: Settings, **session: Any) -> str | None:
    with pytest.raises(Refusal) as caught:
        patched(settings, **session)
    return caught.value.param


def test_a_conversation_starts_with_detection_as_these_clients_expect_it() -> None:
    start = Settings(kind="realtime").start()
    assert start.audio is not None and start.chat is not None
    assert (start.audio.encoding, start.audio.sample_rate) == ("linear16", 24_000)
    assert start.vad == VadOptions(endpoint_s=0.5, endpoint_mode="fixed")
    assert (start.chat.auto, start.chat.instructions, start.chat.max_tokens) == (True, "", 512)
    assert (start.model, start.language) == (None, None)


def test_a_transcription_session_has_no_chat() -> None:
    assert Settings(kind="transcription").start().chat is None


def test_only_what_is_present_changes_and_null_clears() -> None:
    settings = patched(Settings(kind="realtime"), instructions="be brief", max_output_tokens=9, model="m")
    assert (settings.instructions, settings.max_output_tokens, settings.model) == ("be brief", 9, "m")
    assert patched(settings) == settings
    cleared = patched(settings, instructions=None, max_output_tokens=None, model=None, audio=None, type=None)
    assert (cleared.instructions, cleared.max_output_tokens, cleared.model) == ("", "inf", "m")
    chat = settings.start().chat
    assert chat is not None
    assert (chat.instructions, chat.max_tokens) == ("be brief", 9)


def test_null_detection_is_the_clients_own_commits() -> None:
    settings = with_input(turn_detection=None)
    assert settings.turn_detection is None
    assert (settings.creates_responses, settings.interrupts) == (False, False)
    start = settings.start()
    assert start.chat is not None
    assert (start.vad, start.chat.auto) == (VadOptions(enabled=False), False)
    assert with_input(settings, turn_detection={}).turn_detection == TurnDetection()


@pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-realtime-whisper-2026", "gpt-live-transcribe"])
def test_clients_of_some_models_commit_unless_they_say_otherwise(model: str) -> None:
    settings = with_input(transcription={"model": model})
    assert settings.turn_detection is None
    assert with_input(settings, turn_detection={"type": "server_vad"}).turn_detection == TurnDetection()


def test_the_url_names_the_kind_and_the_model_that_does_it() -> None:
    assert Settings.at_first(intent=None, model=None) == Settings(kind="realtime")
    assert Settings.at_first(intent="x", model="gpt-realtime-whisper").turn_detection is None
    settings = Settings.at_first(intent="transcription", model="gpt-live-transcribe")
    assert settings.transcription is not None
    assert (settings.transcription.model, settings.turn_detection) == ("gpt-live-transcribe", None)
    assert Settings.at_first(intent="transcription", model=None) == Settings(kind="transcription")


def test_detection_is_kept_within_what_we_can() -> None:
    vad = with_input(turn_detection={"threshold": 0.99, "silence_duration_ms": 10}).start().vad
    assert vad == VadOptions(threshold=0.95, endpoint_s=0.2, endpoint_mode="fixed")
    vad = with_input(turn_detection={"threshold": 0, "silence_duration_ms": 60_000}).start().vad
    assert vad == VadOptions(threshold=0.05, endpoint_s=5.0, endpoint_mode="fixed")


@pytest.mark.parametrize(("eagerness", "wait_s"), [("low", 1.5), ("medium", 0.8), ("auto", 0.8), ("high", 0.4)])
def test_semantic_detection_waits_by_what_was_said(eagerness: str, wait_s: float) -> None:
    settings = with_input(turn_detection={"type": "semantic_vad", "eagerness": eagerness})
    assert settings.start().vad == VadOptions(endpoint_s=wait_s, endpoint_mode="adaptive")


def test_detection_of_another_type_starts_from_its_defaults_and_null_fields_take_them() -> None:
    settings = with_input(turn_detection={"type": "semantic_vad", "create_response": False})
    changed = with_input(settings, turn_detection={"type": "server_vad", "threshold": None})
    assert changed.turn_detection == TurnDetection()
    assert with_input(settings, turn_detection={"eagerness": "low"}).turn_detection == TurnDetection(
        type="semantic_vad", create_response=False, eagerness="low"
    )


def test_transcription_is_merged_and_mapped() -> None:
    settings = with_input(transcription={"model": "gpt-4o-transcribe", "language": "en-US", "prompt": "x" * 2000})
    settings = with_input(settings, transcription={"keywords": ["boat", "harbour"]})
    start = settings.start()
    assert (start.language, len(start.prompt), start.hotwords) == ("en", 1000, ("boat", "harbour"))
    settings = with_input(settings, transcription={"language": None, "prompt": None, "keywords": None, "model": None})
    start = settings.start()
    assert (start.language, start.prompt, start.hotwords) == (None, "", ())


def test_of_several_languages_none_is_taken_and_of_one_that_one() -> None:
    assert with_input(transcription={"languages": ["de"]}).start().language == "de"
    assert with_input(transcription={"languages": ["de", "fr"]}).start().language is None


def test_more_keywords_than_a_session_takes_are_left_out() -> None:
    assert len(with_input(transcription={"keywords": ["a"] * 200}).start().hotwords) == 100
    assert with_input(transcription={"keywords": ["a" * 990, "b" * 20]}).start().hotwords == ("a" * 990,)


def test_null_transcription_is_for_conversations_only() -> None:
    assert with_input(transcription=None).transcription is None
    assert with_input(with_input(transcription=None), transcription={}).transcription is not None
    assert with_input(Settings(kind="transcription"), transcription=None).transcription is not None
    assert with_input(transcription=None).start().language is None


@pytest.mark.parametrize(("kind", "encoding"), [("audio/pcmu", "mulaw"), ("audio/pcma", "alaw")])
def test_telephone_audio_has_8_khz(kind: str, encoding: str) -> None:
    settings = with_input(format={"type": kind})
    start = settings.start()
    assert start.audio is not None
    assert (start.audio.encoding, start.audio.sample_rate) == (encoding, 8000)
    assert settings.bytes_per_s == 8000


def test_another_rate_is_heard_and_not_told_and_null_is_the_usual_one() -> None:
    settings = with_input(format={"type": "audio/pcm", "rate": 16_000})
    assert settings.bytes_per_s == 32_000
    assert "rate" not in str(session_report(settings, "s"))
    assert with_input(settings, format=None).bytes_per_s == 48_000


def test_what_is_out_of_range_is_refused_and_named() -> None:
    settings = Settings(kind="realtime")
    place = "session.audio.input"
    assert refused(settings, max_output_tokens=0) == "session.max_output_tokens"
    assert refused(settings, max_output_tokens=40_000) == "session.max_output_tokens"
    assert refused(settings, instructions="x" * 32_001) == "session.instructions"
    assert refused(settings, audio={"input": {"format": {"rate": 100}}}) == f"{place}.format.rate"
    assert refused(settings, audio={"input": {"transcription": {"language": "tlh"}}}) == (
        f"{place}.transcription.language"
    )


def started(**audio: Any) -> Settings:
    settings = with_input(**audio)
    return Settings(kind=settings.kind, wished_detection=settings.wished_detection, started=True)


def test_once_started_a_session_keeps_its_kind_and_may_change_all_else() -> None:
    settings = started()
    assert refused(settings, type="transcription") == "session.type"
    assert patched(settings, type="realtime", instructions="other").instructions == "other"
    changed = with_input(settings, format={"type": "audio/pcmu"}, transcription=None, turn_detection=None)
    assert (changed.format.type, changed.transcription, changed.turn_detection) == ("audio/pcmu", None, None)
    again = with_input(changed, turn_detection={}, transcription={"language": "de", "keywords": ["Harken"]})
    assert again.turn_detection == TurnDetection()
    assert (again.hearing().language, again.hearing().hotwords) == ("de", ("Harken",))
    assert again.hearing().audio == AudioFormat(encoding="mulaw", sample_rate=8_000)
    assert again.start().chat is not None and again.hearing().chat is None


def test_once_started_a_bad_value_changes_nothing() -> None:
    assert refused(started(), audio={"input": {"format": {"rate": 100}, "turn_detection": None}}) == (
        "session.audio.input.format.rate"
    )


def test_once_started_what_follows_from_a_turn_may_change() -> None:
    wish = {"silence_duration_ms": 900, "create_response": False, "interrupt_response": False}
    changed = with_input(started(), turn_detection=wish)
    assert changed.turn_detection == TurnDetection(
        silence_duration_ms=900, create_response=False, interrupt_response=False
    )
