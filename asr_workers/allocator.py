"""What the worker's process asks of malloc."""

import ctypes

_M_ARENA_MAX = -8


def limit_arenas(count: int) -> None:
    """Have all threads share this many arenas. To be called before they start; without glibc nothing happens.

    Every window length makes the model take blocks of other sizes, and every arena keeps those it has seen. glibc makes
    up to eight arenas a core. With one a core, the process grows to 435 MB over 63 windows of speech and stays there,
    instead of 490 MB and growing, at the same speed. (Having large blocks returned at once, by M_MMAP_THRESHOLD, ends
    at 340 MB and doubles the time of the encoder: mallopt(3), CTranslate2 4.8, two cores.)
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, count)
