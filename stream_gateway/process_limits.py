"""What this process uses of the machine, and what it may. Of memory Linux tells; elsewhere little is known."""

import gc
import os
import resource
from contextlib import suppress
from pathlib import Path

_STATM = Path("/proc/self/statm")
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of a container: cgroups version 2, and 1."""
_COLLECT_AFTER = (10_000, 10, 10)
"""Of `gc.set_threshold`. Sessions and connections that end leave no cycles behind that hold audio or buffers, so that
garbage is little; and each collection of the oldest generation stops all sessions while it looks at every one."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Memory that this process occupies now; 0 if that cannot be told."""
    with suppress(OSError, ValueError, IndexError):
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    return 0


def available_bytes() -> int:
    """All the memory of the machine, or of the container if that is less."""
    total = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # no such file, or `max`
            total = min(total, int(limit.read_text()))
    return total


def allow_open_files(wanted: int) -> int:
    """Raise the process's own limit to `wanted` if the system lets it; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def collect_rarely() -> None:
    """Let the garbage collector stop this process seldom, and for what it made from here on alone."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
