"""Write requirements/*.lock: what `pyproject.toml` asks for and all it drags in, as installed in this environment.

Run through `make lock` after changing dependencies. Everything is pinned, so a fresh machine gets what was tested.
"""

import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
HEADER = "# Written by `make lock` from pyproject.toml; do not edit.\n"


def closure(requirements: Iterable[str]) -> dict[str, str]:
    """Name to version of every distribution that `requirements` need here, themselves included."""
    pins: dict[str, str] = {}
    waiting = [(Requirement(text), frozenset[str]()) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, asked_with = waiting.pop()
        if requirement.marker and not any(requirement.marker.evaluate({"extra": e}) for e in asked_with or {""}):
            continue
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found = distribution(name)
        if not requirement.specifier.contains(found.version, prereleases=True):
            sys.exit(f"{name} {found.version} is installed, but {requirement} is asked for")
        pins[name] = found.version
        waiting += [(Requirement(text), extras | {""}) for text in found.requires or ()]
    return pins


def main() -> None:
    """Write both files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = project["dependencies"]
    for name, requirements in (("runtime", runtime), ("dev", runtime + project["optional-dependencies"]["dev"])):
        lines = [f"{package}=={version}\n" for package, version in sorted(closure(requirements).items())]
        (ROOT / "requirements" / f"{name}.lock").write_text(HEADER + "".join(lines))


if __name__ == "__main__":
    main()
