"""Weights, tokenizer and chat template of a model, loaded by transformers from a folder or a GGUF file."""

from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from bus.contract.chat_work import ChatMessage
from llm_workers.engines.base import EngineOptions, EngineUnavailable
from llm_workers.engines.torch_budget import TorchSettings
from llm_workers.engines.torch_text import ControlTokens, prompt_tokens


@dataclass(frozen=True, slots=True)
class TorchModel:
    """A model in memory. Its tokenizer is used by one thread at a time, but for `decode`."""

    weights: Any
    tokenizer: Any
    device: str
    context_tokens: int
    """That it was made for."""
    end_tokens: frozenset[int]
    """Any of them ends an answer."""
    control_tokens: ControlTokens

    def prompt(self, messages: Sequence[ChatMessage], prefill: str) -> list[int]:
        """Tokens of a conversation by the model's own template, up to the end of the answer's given beginning.

        ValueError where the template refuses the conversation; it names no words of it.
        """
        plain = self.control_tokens.removed_from
        conversation = [{"role": message.role, "content": plain(message.text)} for message in messages]
        try:
            opening = self.tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        except Exception:  # templates are programs of their own, and raise what they like
            raise ValueError("the model's chat template refuses a conversation of this form") from None
        return prompt_tokens(opening, prefill, self._encode, self.decode)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text without special tokens; thread-safe."""
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return tokens


def load_model(options: EngineOptions, settings: TorchSettings) -> TorchModel:
    """Load in this thread; takes seconds to minutes. EngineUnavailable says what is missing."""
    transformers_logging.set_verbosity_error()  # its warnings show tokens of refused prompts
    transformers_logging.disable_progress_bar()
    device = _device(options.device)
    folder, gguf_file = _weights(options.model_path)
    try:
        read = partial(_read_gguf, gguf_file=gguf_file) if gguf_file else _read_folder
        tokenizer, weights = read(
            folder, dtype=_dtype(settings, device), attn_implementation=f"paged|{settings.attention}"
        )
        weights.to(device).eval()
    except Exception as error:  # whatever transformers, its file readers and CUDA raise
        raise EngineUnavailable(f"the model cannot be loaded on {device}: {error}") from error
    if not tokenizer.chat_template:
        raise EngineUnavailable("the model has no chat template")
    return TorchModel(
        weights=weights,
        tokenizer=tokenizer,
        device=device,
        context_tokens=weights.config.get_text_config().max_position_embeddings,
        end_tokens=_end_tokens(weights, tokenizer),
        control_tokens=ControlTokens(
            token.content for token in tokenizer.added_tokens_decoder.values() if token.special
        ),
    )


def _read_folder(folder: Path, **how: Any) -> tuple[Any, Any]:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **how)


def _read_gguf(folder: Path, *, gguf_file: str, **how: Any) -> tuple[Any, Any]:
    """Read everything from one file. Takes much longer: each look at its metadata is seconds, and there are three."""
    where = {"gguf_file": gguf_file, "local_files_only": True}
    with redirect_stderr(StringIO()):  # its progress bar knows no switch
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, **where)
        config = AutoConfig.from_pretrained(folder, **where)
        unpacked = GgufConfig(dequantize=True)
        weights = AutoModelForCausalLM.from_pretrained(
            folder, config=config, quantization_config=unpacked, **where, **how
        )
    return tokenizer, weights


def cached_bytes_per_token(weights: Any) -> int:
    """Keys and values of one token in all layers."""
    config = weights.config.get_text_config()
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * head_size * weights.dtype.itemsize)


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable("torch finds no CUDA device here")
    return wanted


def _dtype(settings: TorchSettings, device: str) -> Any:
    name = settings.dtype
    if name == "auto":
        name = "bfloat16" if device == "cuda" else "float32"
    return getattr(torch, name)


def _weights(path: Path | None) -> tuple[Path, str]:
    """Folder and, if the weights are one, the name of the GGUF file in it."""
    if path is None:
        raise EngineUnavailable("no weights: the torch engine needs a model folder or a GGUF file")
    if path.is_file():
        return path.parent, path.name
    if any(path.glob("*.safetensors")):
        return path, ""
    names = sorted(file.name for file in path.glob("*.gguf"))
    if len(names) == 1:
        return path, names[0]
    raise EngineUnavailable("no weights: the model folder holds no .safetensors files and not just one .gguf file")


def _end_tokens(weights: Any, tokenizer: Any) -> frozenset[int]:
    """The model's own; the tokenizer only where it has none, for one read from a GGUF file names a wrong one."""
    for config in (weights.generation_config, weights.config, tokenizer):
        named = getattr(config, "eos_token_id", None)
        if named is not None:
            return frozenset(named if isinstance(named, list | tuple) else [named])
    return frozenset()
