"""Whisper models of any shape with random weights, written in CTranslate2's format: good for timing, not for text.

No network and no torch: the layout is that of `ctranslate2.specs`, the weights are uniform noise in float16. The end of
text is suppressed in the model's own configuration, so every text has exactly as many tokens as a call allows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from numpy.typing import NDArray

_END_OF_TEXT = 50257
_START_OF_TRANSCRIPT = _END_OF_TEXT + 1
_TASK_MARKS = ("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nocaptions|>")
_NO_TIMESTAMPS = "<|notimestamps|>"
_TIMESTAMPS = 1501
_ENCODER_POSITIONS = 1500
_DECODER_POSITIONS = 448
_FEED_FORWARD = 4
_ALIGNMENT_HEADS = 6
_SPREAD = 0.035
"""Half the range of a weight: a standard deviation of 0.02, as models begin with; float16 does not overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What decides how long a call takes."""

    mel_bands: int = 80
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    languages: int = 99


SHAPES = {
    "base": Shape(width=512, heads=8, encoder_layers=6, decoder_layers=6),
    "small": Shape(width=768, heads=12, encoder_layers=12, decoder_layers=12),
    "large-v3-turbo": Shape(mel_bands=128, width=1280, heads=20, encoder_layers=32, decoder_layers=4, languages=100),
}


def english_prompt(shape: Shape) -> list[int]:
    """Start, English, transcribe, no timestamps: the same places in real vocabularies of this many languages."""
    vocabulary = _vocabulary(shape)
    marks = ("<|transcribe|>", _NO_TIMESTAMPS)
    return [_START_OF_TRANSCRIPT, _START_OF_TRANSCRIPT + 1, *(vocabulary.index(mark) for mark in marks)]


def write_random_model(folder: Path, shape: Shape, *, seed: int = 0) -> None:
    """Write model, vocabulary and configuration into an existing folder: 2 bytes a weight."""
    random = np.random.default_rng(seed)
    spec = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    vocabulary = _vocabulary(shape)
    _fill_encoder(spec.encoder, shape, random)
    _fill_decoder(spec.decoder, shape, len(vocabulary), random)
    spec.config.suppress_ids = [_END_OF_TEXT]
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = list(range(_START_OF_TRANSCRIPT + 1, _START_OF_TRANSCRIPT + 1 + shape.languages))
    heads = range(min(shape.heads, _ALIGNMENT_HEADS))
    spec.config.alignment_heads = [(shape.decoder_layers - 1, head) for head in heads]
    spec.register_vocabulary(vocabulary)
    spec.validate()
    spec.save(str(folder))


def _vocabulary(shape: Shape) -> list[str]:
    languages = [f"<|l{number}|>" for number in range(shape.languages)]
    times = [f"<|{number * 0.02:.2f}|>" for number in range(_TIMESTAMPS)]
    words = [f"w{number}" for number in range(_END_OF_TEXT)]
    return [*words, "<|endoftext|>", "<|startoftranscript|>", *languages, *_TASK_MARKS, _NO_TIMESTAMPS, *times]


def _fill_encoder(encoder: Any, shape: Shape, random: np.random.Generator) -> None:
    for convolution, bands in ((encoder.conv1, shape.mel_bands), (encoder.conv2, shape.width)):
        convolution.weight = _noise(random, shape.width, bands, 3)
        convolution.bias = _noise(random, shape.width)
    encoder.position_encodings.encodings = _noise(random, _ENCODER_POSITIONS, shape.width)
    _fill_norm(encoder.layer_norm, shape)
    for layer in encoder.layer:
        _fill_attention(layer.self_attention, shape, (3, 1), random)
        _fill_feed_forward(layer.ffn, shape, random)


def _fill_decoder(decoder: Any, shape: Shape, vocabulary_size: int, random: np.random.Generator) -> None:
    decoder.embeddings.weight = _noise(random, vocabulary_size, shape.width)
    decoder.projection.weight = decoder.embeddings.weight
    decoder.position_encodings.encodings = _noise(random, _DECODER_POSITIONS, shape.width)
    _fill_norm(decoder.layer_norm, shape)
    for layer in decoder.layer:
        _fill_attention(layer.self_attention, shape, (3, 1), random)
        _fill_attention(layer.attention, shape, (1, 2, 1), random)
        _fill_feed_forward(layer.ffn, shape, random)


def _fill_attention(attention: Any, shape: Shape, outputs: tuple[int, ...], random: np.random.Generator) -> None:
    """`outputs` says of how many widths each projection is made: queries, keys and values share theirs if they can."""
    _fill_norm(attention.layer_norm, shape)
    for linear, widths in zip(attention.linear, outputs, strict=True):
        _fill_linear(linear, widths * shape.width, shape.width, random)


def _fill_feed_forward(feed_forward: Any, shape: Shape, random: np.random.Generator) -> None:
    _fill_norm(feed_forward.layer_norm, shape)
    _fill_linear(feed_forward.linear_0, _FEED_FORWARD * shape.width, shape.width, random)
    _fill_linear(feed_forward.linear_1, shape.width, _FEED_FORWARD * shape.width, random)


def _fill_linear(linear: Any, outputs: int, inputs: int, random: np.random.Generator) -> None:
    linear.weight = _noise(random, outputs, inputs)
    linear.bias = _noise(random, outputs)


def _fill_norm(norm: Any, shape: Shape) -> None:
    norm.gamma = np.ones(shape.width, dtype=np.float16)
    norm.beta = np.zeros(shape.width, dtype=np.float16)


def _noise(random: np.random.Generator, *dimensions: int) -> NDArray[np.float16]:
    return ((random.random(dimensions, dtype=np.float32) * 2 - 1) * _SPREAD).astype(np.float16)
