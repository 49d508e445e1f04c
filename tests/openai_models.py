"""The openai package's own models: every event that a test is sent of the GA protocol parses strictly with them."""

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

_WITHOUT_MODELS: Final = ("session.created", "session.updated")
"""Events whose model in the SDK lacks what the API itself has."""


def check_strictly(event: Mapping[str, Any]) -> None:
    """Raise pydantic's ValidationError for an event that their models do not bear. Without the package all may pass."""
    parser = strict_parsers().get(event["type"])
    if parser is not None:
        parser(event)


@cache
def strict_parsers() -> Mapping[str, Callable[[Any], Any]]:
    """By type of event; none where the openai package is not installed."""
    try:
        union = importlib.import_module("openai.types.realtime").RealtimeServerEvent
        adapter = importlib.import_module("pydantic").TypeAdapter
    except ImportError:
        return {}
    kinds = union.__origin__.__args__ if hasattr(union, "__origin__") else union.__args__
    adapters = {kind.model_fields["type"].annotation.__args__[0]: adapter(kind) for kind in kinds}
    return {kind: _strictly(one) for kind, one in adapters.items() if kind not in _WITHOUT_MODELS}


def _strictly(adapter: Any) -> Callable[[Any], Any]:
    return lambda event: adapter.validate_python(event, strict=True)
