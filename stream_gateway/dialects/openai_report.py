"""The full effective session, as an OpenAI Realtime client is told it."""

from stream_gateway.dialects.openai_session import PCM_RATE_HZ, Settings, Transcription, TurnDetection
from stream_gateway.dialects.openai_wire import Event


def session_report(settings: Settings, session_id: str) -> Event:
    """The `session` of `session.created` and `session.updated`."""
    audio: Event = {"format": _format(settings), "turn_detection": turn_detection_report(settings)}
    if settings.transcription is not None:
        audio["transcription"] = transcription_report(settings.transcription)
    report: Event = {
        "type": settings.kind,
        "object": "realtime.session" if settings.kind == "realtime" else "realtime.transcription_session",
        "id": session_id,
        "audio": {"input": audio},
    }
    if settings.kind == "transcription":
        return report
    return report | {
        "model": settings.model,
        "output_modalities": ["text"],
        "instructions": settings.instructions,
        "max_output_tokens": settings.max_output_tokens,
        "tools": [],
        "tool_choice": "none",
    }


def transcription_report(said: Transcription) -> Event:
    """Empty fields are left out."""
    fields = {
        "model": said.model,
        "language": said.language,
        "prompt": said.prompt,
        "keywords": list(said.keywords),
        "languages": list(said.languages),
    }
    return {name: value for name, value in fields.items() if value}


def turn_detection_report(settings: Settings) -> Event | None:
    """Null, which clients look for, where they commit themselves."""
    detection = settings.turn_detection
    if detection is None:
        return None
    report = _ways(detection)
    if settings.kind == "realtime":
        report["create_response"] = detection.create_response
        report["interrupt_response"] = detection.interrupt_response
    return report


def _ways(detection: TurnDetection) -> Event:
    if detection.type == "semantic_vad":
        return {"type": detection.type, "eagerness": detection.eagerness}
    return {
        "type": detection.type,
        "threshold": detection.threshold,
        "prefix_padding_ms": round(detection.prefix_padding_ms),
        "silence_duration_ms": round(detection.silence_duration_ms),
    }


def _format(settings: Settings) -> Event:
    report: Event = {"type": settings.format.type}
    if settings.format.type == "audio/pcm" and settings.sample_rate_hz == PCM_RATE_HZ:
        report["rate"] = PCM_RATE_HZ  # clients know no other, and fail on one
    return report
