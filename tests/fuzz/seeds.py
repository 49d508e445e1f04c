"""Messages that are right, for inputs to begin with: the golden files of the contract, and recorded sessions."""

from pathlib import Path

_TESTS = Path(__file__).parents[1]
_GOLDEN = _TESTS / "contract" / "golden"
_SESSIONS = _TESTS / "contract" / "sessions"


def golden(*prefixes: str) -> tuple[bytes, ...]:
    """The golden messages whose file names begin so."""
    found = tuple(path.read_bytes() for path in sorted(_GOLDEN.iterdir()) if path.name.startswith(prefixes))
    assert found, f"no golden file begins with {prefixes}"
    return found


def recorded(name: str, *, sent_by: str) -> tuple[bytes, ...]:
    """The frames of one side of a recorded session: `>` is the client, `<` the service."""
    lines = (_SESSIONS / name).read_text(encoding="utf-8").splitlines()
    return tuple(line[2:].encode() for line in lines if line.startswith(f"{sent_by} {{"))
