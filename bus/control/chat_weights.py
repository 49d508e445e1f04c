"""Which weights chat needs on this machine, as far as the settings of LLM workers tell."""

from collections.abc import Mapping
from pathlib import Path

from bus.runtime.model_store.catalogue import SMOLLM2

DEFAULT_CHAT_MODEL = SMOLLM2.name
_BASE_URL = "HARKEN_LLM_BASE_URL"
_ENGINE = "HARKEN_LLM_ENGINE"
_DEFAULT_ENGINE = "openai-compatible"
_SCRIPTED = "scripted"


def chat_weights(model: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Names for the model store, as a rule one: none where a server has the weights, or nobody needs any.

    A path is left to the worker, which knows what must lie there.
    """
    if environ.get(_BASE_URL) or environ.get(_ENGINE) == _SCRIPTED or Path(model).expanduser().exists():
        return ()
    return (model,)


def starts_llama(environ: Mapping[str, str]) -> bool:
    """Whether LLM workers run llama.cpp themselves."""
    return not environ.get(_BASE_URL) and environ.get(_ENGINE, _DEFAULT_ENGINE) == _DEFAULT_ENGINE
