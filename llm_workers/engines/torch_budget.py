"""What the torch engine may hold: its settings, and how much cache its answers get. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

BLOCK_TOKENS = 32
"""Of one cache block. A conversation that comes back is recognised block by block."""
DEFAULT_CONTEXT_TOKENS = 8192
"""Of one answer, where the model was made for more and nobody asked for it."""
_SPARE_BLOCKS = 2
"""The library takes a block or two ahead."""
CPU_BATCH_TOKENS = 32
CUDA_BATCH_TOKENS = 512
CPU_SLOTS = 4
CUDA_SLOTS = 32

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
_DTYPES: tuple[Dtype, ...] = ("auto", "float32", "bfloat16", "float16")
_SWITCH = {"on": True, "off": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchSettings:
    """`EngineOptions.settings` of this engine."""

    dtype: Dtype = "auto"
    """Of the weights; auto is float32 on a CPU, bfloat16 on CUDA."""
    attention: str = "sdpa"
    """As transformers names it; `flash_attention_2` needs that package."""
    batch_tokens: int = 0
    """Tokens of one step at most, 0 is as the device likes it. A cancel waits for the step in progress, as do others
    while a long prompt is read."""
    min_p: float = 0.05
    """Where an answer is sampled, tokens less likely than this share of the likeliest are never taken."""
    memory_share: float = 0.7
    """Of the device memory that is free once the weights are loaded: what the cache may take."""
    prompt_cache: bool = True
    """Whether conversations that begin alike share what was computed, of whatever session; a stranger could tell by the
    time of a first token that somebody has said the same."""
    cuda_graphs: bool = True
    """On a GPU, whether steps are recorded and replayed: four to six times the tokens a second of a small model, and a
    cancel in a fifth of the time (docs/performance.md)."""


def torch_settings(settings: Mapping[str, str]) -> TorchSettings:
    """Read and check the settings; ValueError names the one that is wrong, and what is accepted."""
    known: dict[str, object] = {}
    for name, value in settings.items():
        match name:
            case "dtype":
                known[name] = _dtype(value)
            case "attention":
                known[name] = value
            case "batch_tokens":
                known[name] = int(_number(name, value, 0, 1_000_000))
            case "min_p":
                known[name] = _number(name, value, 0, 1)
            case "memory_share":
                known[name] = _number(name, value, 0.01, 1)
            case "prompt_cache" | "cuda_graphs":
                known[name] = _switch(name, value)
            case _:
                accepted = ", ".join(sorted(TorchSettings.__slots__))
                raise ValueError(f"the torch engine has no setting {name!r}; it has {accepted}")
    return TorchSettings(**known)  # type: ignore[arg-type]


def context_tokens(*, asked: int, of_model: int) -> int:
    """Tokens that one answer may have with its conversation; `asked` as in `EngineOptions`."""
    return min(asked or DEFAULT_CONTEXT_TOKENS, of_model)


def room(*, prompt: int, max_tokens: int, context: int) -> int:
    """Tokens that an answer may have: 0 where the prompt leaves no room for any."""
    return max(0, min(max_tokens, context - prompt))


def cache_blocks(*, slots: int, context: int, free_bytes: int, bytes_per_token: int) -> int:
    """Blocks of the cache: for all slots at full length, or as many as fit in `free_bytes`.

    With fewer, the library computes an answer again that it had to make room for. ValueError if one alone cannot fit.
    """
    for_one = -(-context // BLOCK_TOKENS) + _SPARE_BLOCKS
    fitting = free_bytes // (bytes_per_token * BLOCK_TOKENS)
    if fitting < for_one:
        raise ValueError(
            f"the cache of one answer of {context} tokens needs {for_one * BLOCK_TOKENS * bytes_per_token // 2**20} MiB"
            f" of memory, and {free_bytes // 2**20} MiB are free for it: give a smaller context"
        )
    return min(slots * for_one, fitting)


def _dtype(value: str) -> Dtype:
    for dtype in _DTYPES:
        if value == dtype:
            return dtype
    raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}")


def _switch(name: str, value: str) -> bool:
    if value not in _SWITCH:
        raise ValueError(f"{name} must be on or off")
    return _SWITCH[value]


def _number(name: str, value: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}")
    return number
