"""Runs a decoder over a whole stream, as the gateway does."""

from collections.abc import Iterator

import numpy as np

from stream_gateway.audio.pipeline import AudioDecoder
from stream_gateway.audio.tracks import Tracks, join


def chunked(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Chunks of these sizes, over and over."""
    position, turn = 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        yield data[position : position + size]
        position, turn = position + size, turn + 1


async def feed_all(decoder: AudioDecoder, data: bytes, sizes: list[int]) -> Tracks:
    """All audio of `data`; closes the decoder, also if it raises."""
    blocks: list[Tracks] = []
    try:
        for chunk in chunked(data, sizes):
            blocks.append(await decoder.feed(chunk))
            while decoder.pending:
                blocks.append(await decoder.feed(b""))
        blocks.append(await decoder.finish())
        while decoder.pending:
            blocks.append(await decoder.finish())
    finally:
        decoder.close()
    tracks = join(blocks, decoder.tracks)
    assert len({len(track) for track in tracks}) == 1
    assert all(track.dtype == np.int16 for track in tracks)
    return tracks
