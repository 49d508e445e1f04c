"""Where `harken up` keeps its data unless it is told otherwise."""

import os
from collections.abc import Mapping
from pathlib import Path


def default_data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """`harken` below the user's XDG data folder."""
    return Path(environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "harken"
