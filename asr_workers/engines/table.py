"""Engines by name. Nothing of an engine is imported before it is chosen."""

from collections.abc import Mapping
from importlib import import_module

from asr_workers.engines.base import Engine, EngineOptions, EngineUnavailable

ENGINES: Mapping[str, str] = {
    "faster-whisper": "asr_workers.engines.whisper_ct2:WhisperCt2Engine",
    "scripted": "asr_workers.engines.scripted:ScriptedEngine",
}


def open_engine(name: str, options: EngineOptions) -> Engine:
    """Import and open an engine. EngineUnavailable if there is none of that name or it cannot run here."""
    target = ENGINES.get(name)
    if target is None:
        raise EngineUnavailable(f"there is no engine {name!r}; known are {', '.join(sorted(ENGINES))}")
    module_name, _, class_name = target.partition(":")
    engine_class: type[Engine] = getattr(import_module(module_name), class_name)
    return engine_class.open(options)
