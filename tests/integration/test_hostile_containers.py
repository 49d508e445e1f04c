"""Files that are made to harm: small ones that expand, and headers that ask for memory. What decoding them may take.

Bounds, docs/operating.md: 30 s of decoded audio and 16 MiB of header in FFmpeg's hands, 32 MiB of a file whose index
comes last. FFmpeg's memory is none of Python's, so it is the process's that is watched, with room for noise.
"""

import asyncio
import io
import random
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache

import av
import numpy as np
import pytest

from bus.contract.client_protocol import AudioFormat
from bus.contract.errors import BadContainer
from stream_gateway.audio.pipeline import open_audio
from stream_gateway.process_limits import resident_bytes

MEBIBYTE = 1024 * 1024
NOISE_BYTES = 64 * MEBIBYTE
FRAME_BYTES = MEBIBYTE
RATE_HZ = 16_000
LISTEN_S = 65
"""Longer is not listened to: a client that sends faster than is decoded is not read."""
WITHIN_S = 60.0


@dataclass
class Growth:
    most_bytes: int = 0


@contextmanager
def memory_growth() -> Iterator[Growth]:
    """By how much the process grows meanwhile at most."""
    before, grown, over = resident_bytes(), Growth(), threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            grown.most_bytes = max(grown.most_bytes, resident_bytes() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield grown
    finally:
        over.set()
        watcher.join()


async def listened_to(data: bytes) -> tuple[float, float]:
    """Seconds of audio that come of a file, up to `LISTEN_S`, and most that come at once. Raises what decoding does."""
    decoder = open_audio(AudioFormat(encoding="container"))
    samples = most = 0
    try:
        for begin in range(0, len(data), FRAME_BYTES):
            piece: bytes | None = data[begin : begin + FRAME_BYTES]
            while piece is not None:
                got = len((await decoder.feed(piece))[0])
                samples, most = samples + got, max(most, got)
                if samples > LISTEN_S * RATE_HZ:
                    return samples / RATE_HZ, most / RATE_HZ
                piece = b"" if decoder.pending else None
        samples += len((await decoder.finish())[0])
    finally:
        decoder.close()
    return samples / RATE_HZ, most / RATE_HZ


# --- files


@cache
def _crc_table() -> Sequence[int]:
    table = []
    for value in range(256):
        rest = value << 24
        for _ in range(8):
            rest = (rest << 1 ^ (0x04C11DB7 if rest & 0x8000_0000 else 0)) & 0xFFFF_FFFF
        table.append(rest)
    return table


def ogg_page(flags: int, granule: int, number: int, packets: Sequence[bytes]) -> bytes:
    lengths = bytes(len(packet) for packet in packets)
    head = b"OggS\0" + bytes([flags]) + struct.pack("<qIII", granule, 1, number, 0)
    page = head + bytes([len(lengths)]) + lengths + b"".join(packets)
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFF_FFFF) ^ _crc_table()[crc >> 24 ^ byte]
    return page[:22] + struct.pack("<I", crc) + page[26:]


def opus_of_silence(pages: int) -> bytes:
    """Half a minute in each page of half a kilobyte."""
    head = b"OpusHead\1\2" + struct.pack("<HIhB", 0, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 1) + b"x" + struct.pack("<I", 0)
    two_empty_frames = bytes([3 << 3 | 4 | 1])  # 120 ms
    pages_of_silence = (
        ogg_page(0, 255 * 5_760 * (number + 1), number + 2, [two_empty_frames] * 255) for number in range(pages)
    )
    return b"".join([ogg_page(2, 0, 0, [head]), ogg_page(0, 0, 1, [tags]), *pages_of_silence])


def flac_of_silence(seconds: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=RATE_HZ, layout="mono")
        for second in range(seconds):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE_HZ), dtype=np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, second * RATE_HZ
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def wav(*, channels: int = 1, rate_hz: int = RATE_HZ, bits: int = 16, align: int = 2, tag: int = 1) -> bytes:
    layout = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * 2 & 0xFFFF_FFFF, align, bits)
    data = bytes(2 * MEBIBYTE)
    return b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + layout + b"data" + struct.pack("<I", len(data)) + data


def box(kind: bytes, body: bytes, *, says_bytes: int | None = None) -> bytes:
    return struct.pack(">I", 8 + len(body) if says_bytes is None else says_bytes) + kind + body


FTYP = box(b"ftyp", b"isom\0\0\0\0isom")


def mp4(table: bytes, entries: int) -> bytes:
    """An MP4 file one of whose tables says that it is longer than it is."""
    sound = bytes(6) + struct.pack(">H", 1) + bytes(8) + struct.pack(">HHHHI", 1, 16, 0, 0, RATE_HZ << 16)
    tables = {
        b"stts": struct.pack(">IIII", 0, 1, 1, 1024),
        b"stsc": struct.pack(">IIIII", 0, 1, 1, 1, 1),
        b"stsz": struct.pack(">IIII", 0, 0, 1, 256),
        b"stco": struct.pack(">III", 0, 1, 256),
    }
    at = 8 if table == b"stsz" else 4
    tables[table] = tables[table][:at] + struct.pack(">I", entries) + tables[table][at + 4 :]
    samples = box(b"stsd", struct.pack(">II", 0, 1) + box(b"sowt", sound))
    samples += b"".join(box(kind, body) for kind, body in tables.items())
    media = box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, RATE_HZ, RATE_HZ, 0, 0))
    media += box(b"hdlr", struct.pack(">II4s", 0, 0, b"soun") + bytes(13))
    media += box(b"minf", box(b"smhd", bytes(8)) + box(b"stbl", samples))
    track = box(b"tkhd", struct.pack(">IIIII", 7, 0, 0, 1, 0) + bytes(64)) + box(b"mdia", media)
    movie = box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, 1000) + bytes(80)) + box(b"trak", track)
    return FTYP + box(b"moov", movie) + box(b"mdat", bytes(MEBIBYTE))


@pytest.mark.parametrize(
    "make",
    [lambda: opus_of_silence(120), lambda: flac_of_silence(600)],
    ids=["an hour of Opus", "ten minutes of FLAC"],
)
async def test_of_a_file_that_expands_half_a_minute_at_a_time_is_decoded(make: Callable[[], bytes]) -> None:
    bomb = make()
    assert len(bomb) < FRAME_BYTES / 8
    with memory_growth() as growth:
        async with asyncio.timeout(WITHIN_S):
            seconds, at_once_s = await listened_to(bomb)
    assert seconds > LISTEN_S
    assert at_once_s < 35
    assert growth.most_bytes < NOISE_BYTES


@pytest.mark.parametrize(
    "shape",
    [
        {"channels": 65_535},
        {"channels": 255},
        {"bits": 64, "align": 8},
        {"align": 0},
        {"align": 65_535},
        {"rate_hz": 2**31 - 1},
        {"bits": 4, "align": 65_535, "tag": 0x11},
    ],
    ids=str,
)
async def test_a_wav_file_of_an_absurd_shape_is_refused_or_decoded_and_takes_no_memory(shape: dict[str, int]) -> None:
    data = wav(**shape)
    with memory_growth() as growth:
        async with asyncio.timeout(WITHIN_S):
            try:
                await listened_to(data)
            except BadContainer as error:
                assert "accepted" in error.message or "damaged" in error.message or "must be" in error.message
    assert growth.most_bytes < NOISE_BYTES


@pytest.mark.parametrize("entries", [2**24, 2**28 - 1, 2**31 - 1])
@pytest.mark.parametrize("table", [b"stts", b"stsc", b"stsz", b"stco"])
async def test_an_mp4_file_whose_tables_claim_to_be_endless_takes_no_memory(table: bytes, entries: int) -> None:
    data = mp4(table, entries)
    with memory_growth() as growth:
        async with asyncio.timeout(WITHIN_S):
            with suppress(BadContainer):
                await listened_to(data)
    assert growth.most_bytes < NOISE_BYTES


ENDLESS = {
    "mp4 without an index": FTYP + box(b"free", b"", says_bytes=2**31 - 1) + bytes(36 * MEBIBYTE),
    "mp4 index": FTYP + box(b"moov", bytes(18 * MEBIBYTE), says_bytes=2**32 - 1),
    "mp4 boxes in boxes": FTYP + (struct.pack(">I", 2**31 - 1) + b"moov") * 100_000,
    "id3 tag": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(18 * MEBIBYTE),
    "flac picture": b"fLaC\0\0\0\x22" + bytes(34) + b"\x06\xff\xff\xff" + bytes(18 * MEBIBYTE),
    "flac comments": b"fLaC\0\0\0\x22"
    + bytes(34)
    + b"\x84\xff\xff\xff"
    + bytes(4)
    + b"\xff" * 4
    + bytes(17 * MEBIBYTE),
    "matroska element": b"\x1a\x45\xdf\xa3\x01" + b"\xff" * 7 + bytes(18 * MEBIBYTE),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_header_that_never_ends_is_given_up(kind: str) -> None:
    data = ENDLESS[kind]
    with memory_growth() as growth:
        async with asyncio.timeout(WITHIN_S):
            with pytest.raises(BadContainer):
                await listened_to(data)
    assert growth.most_bytes < NOISE_BYTES + 32 * MEBIBYTE


MAGIC = (b"fLaC", b"OggS\0\2", b"\x1a\x45\xdf\xa3", b"\xff\xfb\x90\x00", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x18ftypisom")


@pytest.mark.parametrize("magic", MAGIC)
async def test_garbage_behind_the_first_bytes_of_a_file_is_refused(magic: bytes) -> None:
    data = magic + random.Random(1).randbytes(2 * MEBIBYTE)
    with memory_growth() as growth:
        async with asyncio.timeout(WITHIN_S):
            with pytest.raises(BadContainer):
                await listened_to(data)
    assert growth.most_bytes < NOISE_BYTES
