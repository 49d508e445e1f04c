"""Engines by name. Nothing of an engine is imported before it is chosen."""

from collections.abc import Mapping
from importlib import import_module

from llm_workers.engines.base import Engine, EngineOptions, EngineUnavailable

ENGINES: Mapping[str, str] = {
    "openai-compatible": "llm_workers.engines.openai_compatible:OpenAiCompatibleEngine",
    "scripted": "llm_workers.engines.scripted:ScriptedEngine",
    "torch": "llm_workers.engines.torch_engine:TorchEngine",
}
_EXTRAS: Mapping[str, str] = {"torch": "torch"}


async def open_engine(name: str, options: EngineOptions) -> Engine:
    """Import and open an engine. EngineUnavailable if there is none of that name or it cannot run here."""
    target = ENGINES.get(name)
    if target is None:
        raise EngineUnavailable(f"there is no engine {name!r}; known are {', '.join(sorted(ENGINES))}")
    module_name, _, class_name = target.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        extra = f"; install harken[{_EXTRAS[name]}]" if name in _EXTRAS else ""
        raise EngineUnavailable(f"the engine {name} needs the package {error.name}{extra}") from None
    engine_class: type[Engine] = getattr(module, class_name)
    return await engine_class.open(options)
