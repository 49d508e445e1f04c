"""Node, where it is installed: nothing at run time needs it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[4] / "clients" / "web"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
_WITHIN_S = 60.0


def run_node(*arguments: str) -> str:
    """What it prints; the test fails with that if it fails."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=_WITHIN_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def evaluate(module: str, expression: str) -> Any:
    """The JSON value of an expression, in which `m` is a module of clients/web."""
    script = f"import * as m from {json.dumps((WEB / module).as_uri())}; console.log(JSON.stringify({expression}))"
    return json.loads(run_node("--input-type=module", "--eval", script))
