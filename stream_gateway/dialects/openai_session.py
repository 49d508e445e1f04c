"""The settings of an OpenAI Realtime session: their defaults, how updates change them, and what they are to us."""

from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from bus.contract.client_protocol import (
    MAX_SAMPLE_RATE_HZ,
    MIN_SAMPLE_RATE_HZ,
    AudioFormat,
    ChatOptions,
    SessionStart,
    VadOptions,
)
from stream_gateway.chat.conversation import MAX_TURN_CHARS
from stream_gateway.dialects.openai_wire import Refusal
from stream_gateway.session.config import MAX_HOTWORDS, MAX_HOTWORDS_CHARS, MAX_PROMPT_CHARS
from stream_gateway.session.languages import LANGUAGES

Kind: TypeAlias = Literal["realtime", "transcription"]
MaxTokens: TypeAlias = int | Literal["inf"]
_T = TypeVar("_T")

PCM_RATE_HZ: Final = 24_000
MAX_OUTPUT_TOKENS: Final = 32_768
_DEFAULT_TRANSCRIBER: Final = "whisper-1"
_DEFAULT_MODEL: Final = "gpt-realtime"
_COMMITS_ITSELF: Final = ("gpt-realtime-whisper", "gpt-live-transcribe")
"""Clients of these models end turns themselves, and never say so."""
_ENCODINGS: Final = {"audio/pcm": "linear16", "audio/pcmu": "mulaw", "audio/pcma": "alaw"}
_EAGERNESS_S: Final = {"low": 1.5, "medium": 0.8, "auto": 0.8, "high": 0.4}


class FormatPatch(msgspec.Struct):
    """How audio is encoded."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int | None = None


class TranscriptionPatch(msgspec.Struct):
    """How speech is transcribed; null clears a field."""

    model: str | None | UnsetType = UNSET
    language: str | None | UnsetType = UNSET
    prompt: str | None | UnsetType = UNSET
    keywords: tuple[str, ...] | None | UnsetType = UNSET
    languages: tuple[str, ...] | None | UnsetType = UNSET


class TurnDetectionPatch(msgspec.Struct):
    """When a turn ends; null takes the default."""

    type: Literal["server_vad", "semantic_vad"] | None = None
    threshold: float | None | UnsetType = UNSET
    prefix_padding_ms: float | None | UnsetType = UNSET
    silence_duration_ms: float | None | UnsetType = UNSET
    create_response: bool | None | UnsetType = UNSET
    interrupt_response: bool | None | UnsetType = UNSET
    eagerness: Literal["low", "medium", "high", "auto"] | None | UnsetType = UNSET


class InputPatch(msgspec.Struct):
    """Of `audio.input`."""

    format: FormatPatch | None | UnsetType = UNSET
    transcription: TranscriptionPatch | None | UnsetType = UNSET
    turn_detection: TurnDetectionPatch | None | UnsetType = UNSET


class AudioPatch(msgspec.Struct):
    """Of `audio`; its output is ignored."""

    input: InputPatch | None = None


class SessionPatch(msgspec.Struct):
    """What of a session changes."""

    type: Kind | None = None
    audio: AudioPatch | None = None
    model: str | None = None
    instructions: str | None | UnsetType = UNSET
    max_output_tokens: MaxTokens | None | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Transcription:
    """How speech is transcribed, in the client's words."""

    model: str = _DEFAULT_TRANSCRIBER
    language: str | None = None
    prompt: str | None = field(default=None, repr=False)
    keywords: tuple[str, ...] = field(default=(), repr=False)
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """When a turn ends by itself, in the client's words."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: float = 300
    silence_duration_ms: float = 500
    create_response: bool = True
    interrupt_response: bool = True
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of them; immutable."""

    kind: Kind
    model: str = _DEFAULT_MODEL
    format: FormatPatch = field(default_factory=lambda: FormatPatch(rate=PCM_RATE_HZ))
    transcription: Transcription | None = field(default_factory=Transcription)
    """None: nobody wants to read what is said. Never in a transcription session."""
    wished_detection: TurnDetection | None | UnsetType = UNSET
    instructions: str = field(default="", repr=False)
    max_output_tokens: MaxTokens = "inf"
    started: bool = False
    """From then on the kind stays as it is."""

    @classmethod
    def at_first(cls, *, intent: str | None, model: str | None) -> "Settings":
        """As the URL has them."""
        if intent != "transcription":
            return cls(kind="realtime", model=model or _DEFAULT_MODEL)
        return cls(kind="transcription", transcription=Transcription(model=model or _DEFAULT_TRANSCRIBER))

    @property
    def turn_detection(self) -> TurnDetection | None:
        """None: the client commits its turns."""
        if not isinstance(self.wished_detection, UnsetType):
            return self.wished_detection
        transcriber = self.transcription.model if self.transcription is not None else ""
        commits_itself = self.model.startswith(_COMMITS_ITSELF) or transcriber.startswith(_COMMITS_ITSELF)
        return None if commits_itself else TurnDetection()

    @property
    def creates_responses(self) -> bool:
        """Whether a spoken turn is answered unasked."""
        return self.turn_detection is not None and self.turn_detection.create_response

    @property
    def interrupts(self) -> bool:
        """Whether somebody who begins to speak stops a response."""
        return self.turn_detection is not None and self.turn_detection.interrupt_response

    @property
    def bytes_per_s(self) -> int:
        """Of the client's audio."""
        return self.sample_rate_hz * (2 if self.format.type == "audio/pcm" else 1)

    @property
    def sample_rate_hz(self) -> int:
        """Of the client's audio."""
        return self.format.rate or PCM_RATE_HZ if self.format.type == "audio/pcm" else 8_000

    def merged(self, patch: SessionPatch) -> "Settings":
        """These settings with a client's changes; raises Refusal, and then nothing has changed."""
        kind = patch.type or self.kind
        if self.started and kind != self.kind:
            raise Refusal("the type of a session cannot change once it has audio or items", param="session.type")
        changed = replace(
            self,
            kind=kind,
            model=patch.model or self.model,
            instructions=_given(patch.instructions, self.instructions, ""),
            max_output_tokens=_given(patch.max_output_tokens, self.max_output_tokens, "inf"),
        )
        check_instructions(changed.instructions, param="session.instructions")
        check_tokens(changed.max_output_tokens, param="session.max_output_tokens")
        audio = patch.audio.input if patch.audio is not None else None
        return changed if audio is None else _with_audio(changed, audio)

    def start(self) -> SessionStart:
        """What they are to the session machine. Names of models mean nothing here: the service's default serves all."""
        if self.kind == "transcription":
            return self.hearing()
        chat = ChatOptions(instructions=self.instructions, auto=self.creates_responses)
        if self.max_output_tokens != "inf":
            chat = msgspec.structs.replace(chat, max_tokens=self.max_output_tokens)
        return msgspec.structs.replace(self.hearing(), chat=chat)

    def hearing(self) -> SessionStart:
        """That of them which is of audio."""
        said = self.transcription or Transcription()
        return SessionStart(
            audio=AudioFormat(encoding=_ENCODINGS[self.format.type], sample_rate=self.sample_rate_hz),
            language=_language(said),
            hotwords=_hotwords(said.keywords),
            prompt=(said.prompt or "")[-MAX_PROMPT_CHARS:],
            vad=_vad(self.turn_detection),
        )


def _with_audio(settings: Settings, patch: InputPatch) -> Settings:
    detection = settings.wished_detection
    if not isinstance(patch.turn_detection, UnsetType):
        detection = _detection(patch.turn_detection, settings.turn_detection)
    transcription = settings.transcription
    if not isinstance(patch.transcription, UnsetType):
        transcription = _transcription(patch.transcription, transcription)
    audio_format = _given(patch.format, settings.format, FormatPatch())
    _check_format(audio_format)
    return replace(
        settings,
        format=audio_format,
        transcription=transcription if settings.kind == "realtime" else transcription or Transcription(),
        wished_detection=detection,
    )


def check_instructions(text: str, *, param: str) -> None:
    """Raise Refusal if they are too long."""
    if len(text) > MAX_TURN_CHARS:
        raise Refusal(f"instructions may have {MAX_TURN_CHARS} characters", code="string_too_long", param=param)


def check_tokens(count: MaxTokens, *, param: str) -> None:
    """Raise Refusal if it is out of range."""
    if count != "inf" and not 1 <= count <= MAX_OUTPUT_TOKENS:
        raise Refusal(f"max_output_tokens must be from 1 to {MAX_OUTPUT_TOKENS}, or inf", param=param)


def _given(change: _T | None | UnsetType, before: _T, cleared: _T) -> _T:
    if isinstance(change, UnsetType):
        return before
    return cleared if change is None else change


def _detection(patch: TurnDetectionPatch | None, before: TurnDetection | None) -> TurnDetection | None:
    if patch is None:
        return None
    kind = patch.type or (before.type if before is not None else "server_vad")
    base = before if before is not None and before.type == kind else TurnDetection(type=kind)
    changes = {name: value for name, value in msgspec.structs.asdict(patch).items() if value not in (UNSET, None)}
    return replace(base, **{**changes, "type": kind})


def _transcription(patch: TranscriptionPatch | None, before: Transcription | None) -> Transcription | None:
    if patch is None:
        return None
    before = before or Transcription()
    changed = Transcription(
        model=_given(patch.model, before.model, _DEFAULT_TRANSCRIBER),
        language=_given(patch.language, before.language, None),
        prompt=_given(patch.prompt, before.prompt, None),
        keywords=_given(patch.keywords, before.keywords, ()),
        languages=_given(patch.languages, before.languages, ()),
    )
    if changed.language and _language(changed) is None:
        raise Refusal(
            "language must be an ISO 639-1 code that Whisper knows, such as en, de or fr",
            param="session.audio.input.transcription.language",
        )
    return changed


def _check_format(audio: FormatPatch) -> None:
    if audio.type == "audio/pcm" and not MIN_SAMPLE_RATE_HZ <= (audio.rate or PCM_RATE_HZ) <= MAX_SAMPLE_RATE_HZ:
        raise Refusal(
            f"rate must be from {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz",
            param="session.audio.input.format.rate",
        )


def _language(said: Transcription) -> str | None:
    """The one language that is named, without its region; None to have it detected."""
    wished = said.language or (said.languages[0] if len(said.languages) == 1 else "")
    code = wished.replace("_", "-").partition("-")[0].lower()
    return code if code in LANGUAGES else None


def _hotwords(keywords: tuple[str, ...]) -> tuple[str, ...]:
    """As many as a session takes: what is too much is no reason to fail, for clients send long lists."""
    kept: list[str] = []
    chars = 0
    for word in keywords[:MAX_HOTWORDS]:
        chars += len(word)
        if chars > MAX_HOTWORDS_CHARS:
            break
        kept.append(word)
    return tuple(kept)


def _vad(detection: TurnDetection | None) -> VadOptions:
    if detection is None:
        return VadOptions(enabled=False)
    if detection.type == "semantic_vad":
        return VadOptions(endpoint_s=_EAGERNESS_S[detection.eagerness], endpoint_mode="adaptive")
    usual = detection.threshold == TurnDetection().threshold
    return VadOptions(
        threshold=None if usual else min(0.95, max(0.05, detection.threshold)),
        endpoint_s=min(5.0, max(0.2, detection.silence_duration_ms / 1000)),
        endpoint_mode="fixed",
    )
