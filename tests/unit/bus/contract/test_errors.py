import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from bus.contract import errors
from bus.contract.errors import ClientError, HarkenError, ServiceError

_ROW = re.compile(r"^\| `(\w+)` \|([^|]+)\| (client|service) \| (yes|no) \| (\d+) \|([^|]+)\|$", re.MULTILINE)
_TABLE = Path(__file__).parents[4] / "docs" / "errors.md"
_STANDARD_CLOSE_CODES = {1009, 1011, 1012, 1013}


def test_the_documented_table_is_what_the_code_does() -> None:
    documented = {row[0]: (row[2], row[3] == "yes", int(row[4])) for row in _ROW.findall(_TABLE.read_text())}
    assert documented == {kind.code: (kind.fault, kind.retryable, kind.close_code) for kind in _leaves()}


def test_the_documented_table_says_when_and_what_to_do_for_each() -> None:
    for row in _ROW.findall(_TABLE.read_text()):
        assert row[1].strip() and row[5].strip(), row[0]


def test_codes_are_unique_and_machine_readable() -> None:
    codes = [kind.code for kind in _leaves()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


@pytest.mark.parametrize(("branch", "fault"), [(ClientError, "client"), (ServiceError, "service")])
def test_the_branch_tells_whose_fault_it_is(branch: type[HarkenError], fault: Literal["client", "service"]) -> None:
    assert {kind.fault for kind in _leaves(branch)} == {fault}


def test_close_codes_are_our_own_or_the_standards() -> None:
    for kind in _leaves():
        assert 4000 <= kind.close_code < 5000 or kind.close_code in _STANDARD_CLOSE_CODES


def test_the_module_docstring_names_every_error() -> None:
    assert errors.__doc__ is not None
    assert {kind.__name__ for kind in _leaves()} <= set(re.findall(r"\w+", errors.__doc__))


def test_an_error_carries_its_message() -> None:
    error = errors.UnsupportedAudio("sample rate must be 8000 to 48000")
    assert error.message == str(error) == "sample rate must be 8000 to 48000"


def _leaves(branch: type[HarkenError] = HarkenError) -> Iterator[type[HarkenError]]:
    # Only the public tree: other packages may refine an error without giving it a code of its own.
    below = [kind for kind in branch.__subclasses__() if kind.__module__ == errors.__name__]
    if not below:
        yield branch
    for kind in below:
        yield from _leaves(kind)
