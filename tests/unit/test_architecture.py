import tomllib
from pathlib import Path

import pytest

from tests import architecture

ROOT = Path(__file__).parents[2]


def test_the_repository_keeps_its_rules() -> None:
    found = list(architecture.violations(architecture.read_modules(ROOT)))
    assert not found, "\n".join(["", *found])


def test_no_python_file_of_the_repository_is_too_long() -> None:
    found = list(architecture.oversize_files(ROOT))
    assert not found, "\n".join(["", *found])


def test_a_file_that_is_too_long_is_named_wherever_it_lies_but_not_in_a_hidden_folder(tmp_path: Path) -> None:
    for folder in ("tests/unit", "scripts", ".venv/lib"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "long.py").write_text("x = 1\n" * 401)
        (tmp_path / folder / "short.py").write_text("x = 1\n" * 400)
    assert list(architecture.oversize_files(tmp_path)) == [
        "scripts/long.py:1: 401 lines, cap 400",
        "tests/unit/long.py:1: 401 lines, cap 400",
    ]


def test_every_pure_place_exists() -> None:
    """A rule about a file that was renamed would hold for ever."""
    assert [place for place in architecture.PURE if not (ROOT / place).exists()] == []


def test_coverage_is_measured_of_every_pure_place() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["report"]
    assert settings["include"] == [f"{place}*" if place.endswith("/") else place for place in architecture.PURE]
    assert settings["fail_under"] == 100


def test_no_test_is_kept_in_a_file_that_says_nothing() -> None:
    stems = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    assert not stems & architecture.FORBIDDEN_NAMES


TOY = {
    "bus/__init__.py": "",
    "bus/contract/__init__.py": "",
    "bus/contract/work.py": "VERSION = 1\n",
    "bus/transport/connection.py": "import nats\nfrom bus.contract import work\n",
    "bus/runtime/clock.py": "import time\n",
    "stream_gateway/server.py": "from bus.transport.connection import connect\nimport websockets\n",
    "asr_workers/worker.py": "import numpy.typing\nfrom bus.contract.work import VERSION\n",
    "clients/sdk.py": "import asyncio\nfrom bus.contract import work\n",
}


def test_a_tree_that_keeps_the_rules_has_no_violation(tmp_path: Path) -> None:
    assert _violations(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        (
            {"asr_workers/worker.py": "import stream_gateway.server\n"},
            "asr_workers/worker.py:1: may not import stream_gateway.server",
        ),
        (
            {"bus/runtime/clock.py": "def f():\n    from asr_workers import worker\n"},
            "bus/runtime/clock.py:2: may not import asr_workers.worker",
        ),
        (
            {"clients/sdk.py": "from bus.transport import connection\n"},
            "clients/sdk.py:1: may not import bus.transport.connection",
        ),
        ({"clients/sdk.py": "import bus\n"}, "clients/sdk.py:1: may not import bus"),
        (
            {"stream_gateway/server.py": "import nats.errors\n"},
            "stream_gateway/server.py:1: nats is only for bus/transport/",
        ),
        (
            {"bus/runtime/clock.py": "import numpy as np\n"},
            "bus/runtime/clock.py:1: numpy is only for stream_gateway/ and asr_workers/",
        ),
        (
            {"bus/contract/work.py": "\nfrom time import monotonic\n"},
            "bus/contract/work.py:2: pure, yet imports time",
        ),
        (
            {"bus/contract/work.py": "from ..runtime import clock\n"},
            "bus/contract/work.py:1: pure, yet imports the impure bus.runtime.clock",
        ),
        (
            {"bus/runtime/clock.py": "async def long():\n" + "    pass\n" * 60},
            "bus/runtime/clock.py:1: long has 61 lines, cap 60",
        ),
        ({"bus/runtime/utils.py": ""}, "bus/runtime/utils.py:1: utils says nothing about what is in it"),
        ({"bus/helpers/__init__.py": ""}, "bus/helpers/__init__.py:1: helpers says nothing about what is in it"),
        ({"bus/runtime/websockets.py": ""}, "bus/runtime/websockets.py:1: named like the library websockets"),
        ({"bus/contract/__init__.py": "x = 1\n"}, "bus/contract/__init__.py:1: an __init__.py stays empty"),
        (
            {
                "clients/a.py": "import clients.b\n",
                "clients/b.py": "from . import c\n",
                "clients/c.py": "from .a import x\n",
            },
            "import cycle: clients.a -> clients.b -> clients.c -> clients.a",
        ),
    ],
)
def test_a_planted_violation_is_named(tmp_path: Path, planted: dict[str, str], expected: str) -> None:
    assert _violations(tmp_path, planted) == [expected]


def test_an_import_inside_a_function_makes_no_cycle(tmp_path: Path) -> None:
    planted = {"clients/a.py": "import clients.b\n", "clients/b.py": "def f():\n    import clients.a\n"}
    assert _violations(tmp_path, planted) == []


def _violations(root: Path, planted: dict[str, str]) -> list[str]:
    for path, text in {**TOY, **planted}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return list(architecture.violations(architecture.read_modules(root)))
