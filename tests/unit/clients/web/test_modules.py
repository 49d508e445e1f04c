"""The JavaScript modules, tested in JavaScript and against what Python does with the same."""

import json
from pathlib import Path

import msgspec
import pytest

from bus.contract.client_protocol import (
    AudioFormat,
    ChatOptions,
    SessionResume,
    SessionStart,
    TranscriptFinal,
    decode_event,
)
from bus.contract.errors import ClientError, HarkenError, ServiceError
from clients.cli.cues import columns
from clients.cli.writers import make_writer
from stream_gateway.session.languages import LANGUAGES
from tests.unit.clients.web.node import WEB, evaluate, needs_node, run_node

GOLDEN = Path(__file__).parents[3] / "contract" / "golden"
HERE = Path(__file__).parent


@needs_node
@pytest.mark.parametrize("file", sorted(HERE.glob("*.mjs")), ids=lambda path: path.stem)
def test_the_javascript_tests_pass(file: Path) -> None:
    assert "# fail 0" in run_node("--test", "--test-reporter=tap", str(file))


@needs_node
def test_what_the_sdk_says_first_is_what_the_service_reads() -> None:
    said = evaluate("sdk/messages.js", "[m.sessionStart({}), m.sessionStart({audio: 'none', chat: {auto: false}})]")
    plain, chat_only = (msgspec.convert(one, SessionStart) for one in said)
    assert plain == SessionStart(audio=AudioFormat())
    assert chat_only == SessionStart(audio=None, chat=ChatOptions(auto=False))


@needs_node
def test_what_the_sdk_says_to_take_a_session_up_is_what_the_service_reads() -> None:
    golden = (GOLDEN / "client_session_resume_v1.json").read_text(encoding="utf-8")
    said = evaluate("sdk/progress.js", f"new m.Progress({golden}).resumption(0)")
    assert msgspec.convert(said, SessionResume) == msgspec.json.decode(golden, type=SessionResume)


@needs_node
@pytest.mark.parametrize("kind", ["srt", "vtt", "text"])
@pytest.mark.parametrize("has_words", [True, False])
def test_saved_transcripts_are_those_of_the_command_line(kind: str, has_words: bool) -> None:
    finals = [
        _final(1, 0.5, "And <Mr. John> Dashwood & his son --> had leisure " * 4, has_words),
        _final(2, 31.0, "全角の文字" * 12, False),
    ]
    writer = make_writer(kind, label="talk")  # type: ignore[arg-type]
    expected = writer.opening() + "".join(map(writer.final, finals)) + writer.closing(complete=True)
    function = {"srt": "toSrt", "vtt": "toVtt", "text": "toText"}[kind]
    entries = msgspec.json.encode(finals).decode()
    assert evaluate("page/documents.js", f"m.{function}({entries})") == expected


@needs_node
def test_columns_are_counted_as_the_command_line_counts_them() -> None:
    texts = ["plain", "全角", "ｆｕｌｌ", "한글", "é", "混 mixed"]
    assert evaluate("page/cues.js", f"{json.dumps(texts)}.map(m.columns)") == [columns(text) for text in texts]


def test_every_code_of_the_service_that_ends_a_session_has_plain_words() -> None:
    words = (WEB / "page" / "plain-words.js").read_text(encoding="utf-8")
    faults_of_programs = {"invalid_message", "unknown_message_type", "audio_before_start", "frame_too_large", "no_chat"}
    never_shown = {"unknown_model", "start_timeout", "idle_timeout", "session_too_long", "chat_failed", "internal"}
    kinds: list[type[HarkenError]] = [*ClientError.__subclasses__(), *ServiceError.__subclasses__()]
    codes = {kind.code for kind in kinds if kind.__module__ == HarkenError.__module__}
    missing = {code for code in codes if f"  {code}: " not in words}
    assert missing == faults_of_programs | never_shown


def test_the_languages_offered_are_those_of_the_service() -> None:
    text = (WEB / "page" / "languages.js").read_text(encoding="utf-8")
    codes = text.partition("const CODES =")[2].partition(";")[0].replace('"', " ").replace("+", " ").split()
    assert set(codes) == set(LANGUAGES)


def test_the_declarations_name_every_event_of_the_service() -> None:
    declared = (WEB / "sdk" / "harken.d.ts").read_text(encoding="utf-8")
    for path in GOLDEN.glob("event_*_v1.json"):
        event = decode_event(path.read_bytes())
        kind = json.loads(path.read_bytes())["type"]
        assert f'type: "{kind}"' in declared
        for name in msgspec.structs.fields(event):
            assert f"{name.name}:" in declared, f"{kind}.{name.name}"


def _final(segment: int, start_s: float, text: str, has_words: bool) -> TranscriptFinal:
    stages = ("endpoint_s", "queue_s", "batch_wait_s", "encode_s", "decode_s", "publish_s", "total_s")
    fields = {
        "type": "transcript.final",
        "seq": segment,
        "segment": segment,
        "channel": 0,
        "start_s": start_s,
        "end_s": start_s + 20,
        "text": text,
        "words": [
            {"text": word, "start_s": start_s + i / 2, "end_s": start_s + i / 2 + 0.4, "probability": 0.9}
            for i, word in enumerate(text.split() if has_words else ())
        ],
        "language": "en",
        "model": "base",
        "times": dict.fromkeys(stages, 0.1),
    }
    return msgspec.convert(fields, TranscriptFinal)
