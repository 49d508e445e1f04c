"""How much of what a client sends is read before it is taken."""

_MAX_FRAMES = 8
_MAX_BYTES = 8 * 1024 * 1024


def read_ahead_frames(max_frame_bytes: int) -> int:
    """Frames that may wait before a socket is not read any further: fewer, the larger they may be, but one."""
    return max(1, min(_MAX_FRAMES, _MAX_BYTES // max_frame_bytes))
