import json
import struct
from pathlib import Path

import numpy as np
import pytest

from asr_workers.engines.whisper_prefill import START, prefill_files

TOKENS = ["!", '"', "#", "word", "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
EMBEDDINGS = np.arange(7 * 4, dtype=np.float16).reshape(7, 4)


def text(name: str) -> bytes:
    return struct.pack("<H", len(name) + 1) + name.encode() + b"\0"


def variable(name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float16]]) -> bytes:
    shape = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
    return text(name) + shape + struct.pack("<BI", 4, values.nbytes) + values.tobytes()


def model_folder(path: Path, *, tokens: list[str] | None = None, suppressed: tuple[int, ...] = (1, 2)) -> Path:
    variables = [
        variable("decoder/scale", np.zeros((), dtype=np.float16)),
        variable("decoder/embeddings/weight", EMBEDDINGS),
        variable("encoder/weight", np.ones((2, 3), dtype=np.float16)),
    ]
    header = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(variables))
    (path / "model.bin").write_bytes(header + b"".join(variables) + struct.pack("<I", 0))
    (path / "vocabulary.txt").write_text("\n".join(tokens or TOKENS) + "\n")
    (path / "config.json").write_text(json.dumps({"suppress_ids": suppressed}))
    (path / ".complete.json").write_text("{}")
    return path


def test_the_start_of_the_transcript_gets_a_low_number_and_keeps_its_embedding(tmp_path: Path) -> None:
    files = prefill_files(model_folder(tmp_path))
    assert files is not None
    tokens = files["vocabulary.txt"].decode().split("\n")
    assert tokens == ["!", "<|startoftranscript|>", "#", "word", "<|endoftext|>", '"', "<|notimestamps|>", ""]
    start = files["model.bin"].index(EMBEDDINGS[:1].tobytes())
    rows = np.frombuffer(files["model.bin"][start : start + EMBEDDINGS.nbytes], dtype=np.float16).reshape(7, 4)
    expected = EMBEDDINGS.copy()
    expected[START] = EMBEDDINGS[5]
    assert np.array_equal(rows, expected)


def test_everything_else_stays_as_it_is(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    files = prefill_files(folder)
    assert files is not None
    assert set(files) == {"model.bin", "vocabulary.txt", "config.json"}
    before = (folder / "model.bin").read_bytes()
    changed = [at for at, (old, new) in enumerate(zip(before, files["model.bin"], strict=True)) if old != new]
    row = before.index(EMBEDDINGS[START].tobytes())
    assert changed and all(row <= at < row + EMBEDDINGS[START].nbytes for at in changed)


def test_a_vocabulary_in_json_is_read_and_written_as_such(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "vocabulary.txt").unlink()
    (folder / "vocabulary.json").write_text(json.dumps(TOKENS))
    files = prefill_files(folder)
    assert files is not None
    assert json.loads(files["vocabulary.json"])[START] == "<|startoftranscript|>"


@pytest.mark.parametrize(
    "tokens",
    [
        ["!", "word", "#", '"', "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"],
        ["!", '"', "#", "word", "<|endoftext|>", "<|start|>", "<|notimestamps|>"],
    ],
)
def test_a_model_with_another_vocabulary_is_left_alone(tmp_path: Path, tokens: list[str]) -> None:
    assert prefill_files(model_folder(tmp_path, tokens=tokens)) is None


def test_a_model_that_may_write_the_token_is_left_alone(tmp_path: Path) -> None:
    assert prefill_files(model_folder(tmp_path, suppressed=(2,))) is None


def test_a_folder_without_a_vocabulary_is_left_alone(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "vocabulary.txt").unlink()
    assert prefill_files(folder) is None
