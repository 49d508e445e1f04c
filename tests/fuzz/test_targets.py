"""Every target on a few hundred inputs, the same each time, and on what broke it once. Many more: `make fuzz`."""

from random import Random

import pytest

from tests.fuzz import campaign, corpus
from tests.fuzz.mutation import json_mutator
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target

INPUTS = 300
SEED = 1
AT_LEAST = 30


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_input_breaks_it(target: Target) -> None:
    outcome = campaign.run(target, inputs=max(AT_LEAST, round(INPUTS * target.share)), seed=SEED)
    told = "\n".join(f"{crash.what}\n{crash.details}\n{crash.data[:500]!r}" for crash in outcome.crashes)
    assert not outcome.crashes, told
    assert outcome.refused < outcome.inputs, "no input gets past the first check"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_broke_it_once_does_not_break_it_again(target: Target) -> None:
    for path in corpus.kept(target):
        crash = campaign.crash_of(target, path.read_bytes())
        assert crash is None, f"{path.name}: {crash.what}\n{crash.details}"


def test_every_file_that_is_kept_belongs_to_a_target() -> None:
    names = {target.name for target in TARGETS}
    assert len(names) == len(TARGETS)
    assert {path.name for path in corpus.FOLDER.iterdir() if path.is_dir()} <= names


def test_an_input_is_the_same_in_every_run() -> None:
    for target in TARGETS:
        assert campaign.made(target, 3, 7) == campaign.made(target, 3, 7)


def broken(data: bytes) -> None:
    if data == b"refused":
        raise ValueError
    if b"X" in data:
        raise KeyError("X")
    while b"Y" in data:
        pass


def test_a_crash_is_found_named_and_made_small() -> None:
    target = Target("toy", lambda random: random.choice((b"refused", b"fine", b"...X...")), broken, (ValueError,))
    outcome = campaign.run(target, inputs=50, seed=1)
    (crash,) = outcome.crashes
    assert crash.what.startswith("KeyError at tests/fuzz/test_targets.py:")
    assert campaign.made(target, 1, crash.index) == crash.data
    assert campaign.smallest(target, crash, tries=1_000) == b"X"
    assert 0 < outcome.refused < outcome.inputs == 50


def test_an_input_that_takes_too_long_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "HANG_CPU_S", 0.05)
    crash = campaign.crash_of(Target("toy", lambda _: b"", broken), b"Y")
    assert crash is not None
    assert crash.what.startswith("Hang at ")


def test_what_is_left_behind_with_each_input_is_noticed() -> None:
    left: list[list[bytes]] = []
    target = Target("toy", lambda _: bytes(9), lambda data: left.append([data]))
    assert campaign.run(target, inputs=8_000, seed=1).is_growing
    assert not campaign.run(Target("toy", target.make, broken), inputs=8_000, seed=1).is_growing


def test_mutations_are_often_still_messages() -> None:
    mutator = json_mutator([b'{"type":"x","items":[1,{"a":"b"}],"more":null}'])
    made = [mutator.make(Random(seed)) for seed in range(300)]
    assert len(set(made)) > 100
    assert sum(data.startswith(b"{") and data.endswith(b"}") for data in made) > 150
