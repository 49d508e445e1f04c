"""Known text for the decoder in one pass: what CTranslate2 takes for the prompt, without changing a single score.

CTranslate2's `generate` feeds the decoder in one pass with what it takes for the prompt: from <|startoftranscript|> on,
all tokens whose numbers lie between that one's and <|notimestamps|>'s. Text has smaller numbers, so text that is known
already would be stepped through, token by token, at the price of generating it. Here the start of the transcript gets
the smallest number but one. That number was a double quote's, which Whisper never writes by itself (it is among the
suppressed tokens), so its embedding can be the start's, and everything is computed as before. After the text comes a
second <|notimestamps|>, for the prompt has to end with it; on utterances cut at pauses the word error rate was the same
with it and without it (9.8% and 10.0%, docs/performance.md).
"""

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

START = 1
"""The new number of the start of the transcript; tokens up to it can stand nowhere in a prompt."""
_START_NAME = "<|startoftranscript|>"
_TAKEN_NAME = '"'
_EMBEDDINGS = ("decoder/embeddings/weight", "decoder/embeddings/weight_scale")


class _Variable(NamedTuple):
    name: str
    shape: tuple[int, ...]
    start: int
    length: int


def prefill_files(folder: Path) -> dict[str, bytes] | None:
    """The files of a converted model with the start of the transcript renumbered, or None if this is not possible."""
    names = [path.name for path in folder.iterdir() if path.suffix in (".json", ".txt", ".bin")]
    files = {name: (folder / name).read_bytes() for name in names if not name.startswith(".")}
    vocabulary_name = next((name for name in ("vocabulary.json", "vocabulary.txt") if name in files), None)
    suppressed = json.loads(files.get("config.json", b"{}")).get("suppress_ids", ())
    if vocabulary_name is None or START not in suppressed:
        return None
    tokens = _read_vocabulary(vocabulary_name, files[vocabulary_name])
    if tokens[START] != _TAKEN_NAME or tokens.count(_START_NAME) != 1:
        return None
    start = tokens.index(_START_NAME)
    tokens[START], tokens[start] = tokens[start], tokens[START]
    files[vocabulary_name] = _write_vocabulary(vocabulary_name, tokens)
    files["model.bin"] = _with_row_copied(files["model.bin"], rows=len(tokens), source=start, target=START)
    return files


def _read_vocabulary(name: str, content: bytes) -> list[str]:
    if name.endswith(".json"):
        return list(json.loads(content))
    return content.decode().removesuffix("\n").split("\n")


def _write_vocabulary(name: str, tokens: Sequence[str]) -> bytes:
    return (json.dumps(tokens) if name.endswith(".json") else "\n".join(tokens) + "\n").encode()


def _with_row_copied(model: bytes, *, rows: int, source: int, target: int) -> bytes:
    """The weights with one row of the embeddings overwritten by another."""
    content = bytearray(model)
    for one in _variables(model):
        if one.name in _EMBEDDINGS and one.shape[0] == rows:
            row_bytes = one.length // rows
            row = model[one.start + source * row_bytes : one.start + (source + 1) * row_bytes]
            content[one.start + target * row_bytes : one.start + (target + 1) * row_bytes] = row
    return bytes(content)


def _variables(model: bytes) -> Iterator[_Variable]:
    """Variables of a model.bin (ctranslate2/specs/model_spec.py writes it, binary version 6)."""
    (_, name_bytes) = struct.unpack_from("<IH", model, 0)
    at = 6 + name_bytes
    (_, count) = struct.unpack_from("<II", model, at)
    at += 8
    for _ in range(count):
        (name_bytes,) = struct.unpack_from("<H", model, at)
        name = model[at + 2 : at + 1 + name_bytes].decode()
        at += 2 + name_bytes
        rank = model[at]
        shape = struct.unpack_from(f"<{rank}I", model, at + 1)
        (length,) = struct.unpack_from("<I", model, at + 2 + 4 * rank)
        at += 6 + 4 * rank
        yield _Variable(name, shape, at, length)
        at += length
