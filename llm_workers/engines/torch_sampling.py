"""How the torch engine chooses tokens: each answer with a temperature of its own, in one batch.

The manager of transformers samples or is greedy for all requests alike, and has warpers whose arguments come with the
request. This is one of them, and the only one in use: it makes a row of temperature 0 greedy, and cuts the unlikely
tail off the others. The library's own ways to that (`top_k=1`, `top_p`) sort the vocabulary in each step, and leave a
tie to chance, of which there are many in bfloat16.
"""

from math import log
from typing import Any

import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessorList,
    ContinuousBatchingTemperatureLogitsWarper,
)

_NEVER = float("-inf")
_UNNOTICED = 0.01
"""Least temperature to divide by."""


class Temperatures(ContinuousBatchingTemperatureLogitsWarper):  # type: ignore[misc]
    """Takes `temperature` of each request; 0 is greedy, and the first of equals wins."""

    def __init__(self, min_p: float) -> None:
        """`min_p`: tokens less likely than this share of the likeliest are never sampled."""
        super().__init__(TemperatureLogitsWarper(1.0))
        self._log_min_p = log(min_p) if min_p else _NEVER

    def __call__(self, scores: Any, tensor_arg: Any) -> Any:
        """Scores `[requests, vocabulary]` in, and out; called in the library's thread, and in CUDA graphs."""
        temperatures = tensor_arg[: scores.size(0)].view(torch.float32).unsqueeze(-1)
        best, at = scores.max(dim=-1, keepdim=True)
        sampled = (scores / temperatures.clamp(min=_UNNOTICED)).masked_fill(scores < best + self._log_min_p, _NEVER)
        greedy = torch.full_like(scores, _NEVER).scatter(-1, at, 0.0)
        return torch.where(temperatures > 0, sampled, greedy)


def per_request_sampling(min_p: float) -> Any:
    """Build what the manager of transformers takes for its logits processors."""
    processors = ContinuousBatchingLogitsProcessorList(
        LogitsProcessorList([TemperatureLogitsWarper(0.5)]), per_request_processors=True
    )
    processors.logits_processor[0] = Temperatures(min_p)
    return processors
