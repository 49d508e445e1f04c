"""Fixtures that give real model weights, from the model store's own cache; fetched once if missing."""

from pathlib import Path

import pytest

from bus.runtime.model_store.store import default_cache_dir, resolve


@pytest.fixture(scope="session")
def whisper_base_path() -> Path:
    """Folder of Whisper base for CTranslate2."""
    return resolve("base", cache_dir=default_cache_dir())


@pytest.fixture(scope="session")
def silero_path() -> Path:
    """The Silero VAD model file."""
    return resolve("silero-vad", cache_dir=default_cache_dir())


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """SmolLM2 135M Instruct, a GGUF file."""
    return resolve("smollm2", cache_dir=default_cache_dir())
