"""Audio of any kind: raw samples in every encoding, rate and chunking; files, whole, cut, and tampered with."""

import asyncio
import io
import logging
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from random import Random
from typing import Any

import numpy as np

from bus.contract.client_protocol import ENCODINGS, AudioFormat
from bus.contract.errors import BadContainer, InternalError, UnsupportedAudio
from stream_gateway.audio.demuxing import read_blocks
from stream_gateway.audio.formats import RawReader
from stream_gateway.audio.pipeline import open_audio
from stream_gateway.audio.sniffing import HEAD_BYTES, length_check, sniff
from tests.fuzz.mutation import mutate_bytes
from tests.fuzz.target import Target
from tests.unit.stream_gateway.audio.feeding import feed_all
from tests.unit.stream_gateway.audio.files import KINDS, build, speechlike

_RATES_HZ = (8_000, 8_001, 11_025, 16_000, 22_050, 44_100, 47_999, 48_000)
_RAW = tuple(name for name in ENCODINGS if name != "container")
_CHUNKS = (1, 2, 3, 7, 160, 4_096, 100_000)
_FLOATS = np.array([np.nan, np.inf, -np.inf, 1e38, -1e-45, 0.5, -1.0, 1.0000001], dtype="<f4").tobytes()
_MAGIC = tuple(
    b"RIFF,WAVEfmt ,data,OggS,fLaC,ID3\x04,\x1a\x45\xdf\xa3,moov,mdat,ftyp,moof,OpusHead,"
    b"\x01vorbis,\x1f\x43\xb6\x75,\xff\xfb\x90\x00".split(b",")
)


@cache
def _runner() -> asyncio.Runner:
    logging.getLogger("stream_gateway").setLevel(logging.CRITICAL)
    return asyncio.Runner()


def _raw_made(random: Random) -> bytes:
    """The first four bytes choose the format and the chunking."""
    floats = _FLOATS * random.randint(1, 20)
    audio = random.choice((random.randbytes(random.randrange(900)), bytes(random.randrange(3_000)), floats))
    return random.randbytes(4) + mutate_bytes(random, audio)


def _raw(data: bytes) -> None:
    choice, audio = (data + bytes(4))[:4], data[4:]
    channels = 1 + choice[0] % 2
    rate_hz = _RATES_HZ[choice[1] % len(_RATES_HZ)]
    encoding = _RAW[choice[2] % len(_RAW)]
    is_separate = bool(choice[0] & 2)
    decoder = open_audio(
        AudioFormat(
            encoding=encoding, sample_rate=rate_hz, channels=channels, channel_mode="separate" if is_separate else "mix"
        )
    )
    sizes = [_CHUNKS[choice[3] % len(_CHUNKS)] * (1 + len(audio) // 200), 1 + choice[3] // 8]
    tracks = _runner().run(feed_all(decoder, audio, sizes))
    frames = len(audio) // RawReader(encoding, channels).frame_bytes
    assert len(tracks) == (2 if is_separate and channels == 2 else 1)
    assert abs(len(tracks[0]) - frames * 16_000 / rate_hz) <= 1, "audio was lost or made up"


@cache
def _files() -> tuple[bytes, ...]:
    """Short files of every kind, mono and stereo."""
    return tuple(
        build(kind, speechlike(0.3, 16_000, channels), 16_000) for kind in KINDS.values() for channels in (1, 2)
    )


def _file_made(random: Random) -> bytes:
    file = random.choice(_files())
    kind = random.random()
    if kind < 0.15:  # one file after, or within, another
        at = random.randrange(len(file) + 1)
        file = file[:at] + random.choice(_files())[random.choice((0, 0, 12, 100)) :]
    if kind < 0.4:  # most of what is decided is decided by the head
        head = 64 + random.randrange(400)
        file = mutate_bytes(random, file[:head], tokens=_MAGIC) + file[head:]
    return bytes([random.randrange(256)]) + mutate_bytes(random, file, tokens=_MAGIC)


def _file(data: bytes) -> None:
    choice, file = data[:1] or b"\x00", data[1:]
    is_separate = choice[0] & 3 == 0
    decoder = open_audio(
        AudioFormat(encoding="container", channels=2, channel_mode="separate" if is_separate else "mix")
    )
    size = (64, 999, 4_096, 1_000_000)[choice[0] >> 2 & 3]
    _runner().run(_fed(decoder, file, size))


async def _fed(decoder: Any, file: bytes, size: int) -> None:
    await feed_all(decoder, file, [size])
    if isinstance(decoder.fault, InternalError):
        raise decoder.fault


def _whole_file(data: bytes) -> None:
    """A file that may be read in any order, without the thread and the bookkeeping around it: many more a second."""
    demuxer = sniff(data[:HEAD_BYTES])
    if demuxer is None:
        raise BadContainer("not sniffed")
    for block in read_blocks(io.BytesIO(data), demuxer):
        assert block.frames.dtype == np.float32
        assert not len(block.frames) or np.abs(block.frames).max() <= 1


def _sniffed(data: bytes) -> None:
    choice, file = data[:1] or b"\x00", data[1:]
    demuxer = sniff(file[:HEAD_BYTES].ljust(HEAD_BYTES, b"\x00"))
    whole, cut = (length_check(demuxer or "wav") for _ in range(2))
    whole.feed(file)
    for chunk in _chunks(file, 1 + choice[0]):
        cut.feed(chunk)
    assert whole.is_cut == cut.is_cut, "it matters how a file comes in"


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    sizes, at = cycle((size, 1, 3)), 0
    while at < len(data):
        step = next(sizes)
        yield data[at : at + step]
        at += step


TARGETS = (
    Target("audio.raw", _raw_made, _raw, (UnsupportedAudio,), share=0.2),
    Target("audio.file", _file_made, _file, (BadContainer,), share=0.05),
    Target("audio.whole_file", lambda random: _file_made(random)[1:], _whole_file, (BadContainer,), share=0.1),
    Target("audio.sniffing", _file_made, _sniffed, share=0.5),
)
