import asyncio
import random
import struct
import threading
import tracemalloc
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.contract.client_protocol import AudioFormat
from bus.contract.errors import BadContainer, InternalError
from stream_gateway.audio import container as container_module
from stream_gateway.audio import exchange as exchange_module
from stream_gateway.audio.container import ContainerDecoder
from stream_gateway.audio.demuxing import Block
from stream_gateway.audio.sniffing import IndexSearch, WavLength
from tests.unit.stream_gateway.audio.feeding import feed_all
from tests.unit.stream_gateway.audio.files import (
    INDEX_LAST,
    KINDS,
    Kind,
    build,
    build_video,
    decode_directly,
    speechlike,
)

MIXED = AudioFormat(encoding="container")
SEPARATE = AudioFormat(encoding="container", channels=2, channel_mode="separate")
DURATION_S = 3.0
CUT_UNNOTICED = {"mp3"}
"""Nothing in an MP3 file says how long it should be."""


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "container-decoder"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    for thread in threads():
        thread.join(5)
    assert not threads()


@cache
def file(kind: str, rate_hz: int = 48_000, channels: int = 1) -> bytes:
    return build(KINDS[kind], speechlike(DURATION_S, rate_hz, channels), rate_hz)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_container_is_decoded_in_chunks_as_it_is_in_one_piece(kind: str) -> None:
    data = file(kind)
    whole = (await feed_all(ContainerDecoder(MIXED), data, [len(data)]))[0]
    odd = (await feed_all(ContainerDecoder(MIXED), data, [1, 13, 4099, 777]))[0]
    assert np.array_equal(odd, whole)
    assert 0 <= len(whole) / 16_000 - DURATION_S <= KINDS[kind].lag_s


@pytest.mark.parametrize("kind", KINDS)
async def test_every_container_gives_the_audio_that_a_direct_decode_gives(kind: str) -> None:
    ours = (await feed_all(ContainerDecoder(MIXED), file(kind), [5_000]))[0].astype(float)
    direct = decode_directly(file(kind))[0].astype(float)
    length = min(len(ours), len(direct)) - 200
    # Two different resamplers: the same wave, not the same bits.
    assert np.sqrt(np.mean((ours[:length] - direct[:length]) ** 2)) < 0.02 * np.sqrt(np.mean(direct**2))


@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=6), st.sampled_from(sorted(KINDS)))
@settings(max_examples=25, deadline=None)
def test_no_chunking_changes_a_sample(sizes: list[int], kind: str) -> None:
    data = file(kind, 16_000)

    async def decode(chunk_sizes: list[int]) -> bytes:
        return (await feed_all(ContainerDecoder(MIXED), data, chunk_sizes))[0].tobytes()

    assert asyncio.run(decode([*sizes, 50_000])) == asyncio.run(decode([len(data)]))


@pytest.mark.parametrize("kind", ["wav", "ogg-opus", "mp3", "webm-opus"])
async def test_channels_are_mixed_or_kept_apart(kind: str) -> None:
    data = file(kind, 48_000, 2)
    left, right = await feed_all(ContainerDecoder(SEPARATE), data, [3_001])
    (mixed,) = await feed_all(ContainerDecoder(MIXED), data, [3_001])
    strongest = [np.abs(np.fft.rfft(track[16_000:32_000])).argmax() for track in (left, right)]
    assert strongest == [300, 600]
    assert np.max(np.abs(mixed - (left.astype(int) + right) / 2)) <= 2


async def test_separate_channels_need_two_channels() -> None:
    with pytest.raises(BadContainer, match="need a file of 2 channels; this one has 1"):
        await feed_all(ContainerDecoder(SEPARATE), file("flac"), [1_000])


@pytest.mark.parametrize("kind", ["matroska-flac", "mp4-fragmented"])
async def test_a_video_stream_is_ignored(kind: str) -> None:
    samples = speechlike(1.0, 48_000)
    data = build(KINDS[kind], samples, 48_000, cover=True)
    decoder = ContainerDecoder(MIXED)
    (audio,) = await feed_all(decoder, data, [2_000])
    assert len(audio) == pytest.approx(16_000, abs=1_500)
    assert decoder.fault is None


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {INDEX_LAST, "flac"}))
async def test_audio_comes_out_while_the_file_is_still_coming_in(kind: str) -> None:
    data = build(KINDS[kind], speechlike(6.0, 16_000), 16_000)
    decoder = ContainerDecoder(MIXED)
    try:
        blocks = [await decoder.feed(data[start : start + 500]) for start in range(0, len(data) * 3 // 4, 500)]
    finally:
        decoder.close()
    assert sum(len(block[0]) for block in blocks) > 2 * 16_000


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {INDEX_LAST}))
async def test_a_file_that_ends_in_the_middle_gives_what_it_has_and_a_fault(kind: str) -> None:
    decoder = ContainerDecoder(MIXED)
    data = file(kind)
    (audio,) = await feed_all(decoder, data[: len(data) * 6 // 10], [4_096])
    assert 0.3 * DURATION_S <= len(audio) / 16_000 <= 0.7 * DURATION_S
    assert isinstance(decoder.fault, BadContainer) is (kind not in CUT_UNNOTICED)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_whole_file_has_no_fault(kind: str) -> None:
    decoder = ContainerDecoder(MIXED)
    await feed_all(decoder, file(kind), [4_096])
    assert decoder.fault is None


async def test_an_mp4_file_without_its_index_is_an_error() -> None:
    data = file(INDEX_LAST)
    with pytest.raises(BadContainer, match="damaged"):
        await feed_all(ContainerDecoder(MIXED), data[: len(data) // 2], [4_096])


async def test_an_mp4_file_with_its_index_at_the_end_may_only_be_so_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_module, "_MAX_UNSTREAMABLE_BYTES", 10_000)
    with pytest.raises(BadContainer, match="faststart"):
        await feed_all(ContainerDecoder(MIXED), file(INDEX_LAST), [4_096])


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 12, b"<html><body>", b"#EXTM3U\nhttp://localhost/x\n", random.Random(5).randbytes(64)]
)
async def test_garbage_is_refused_at_once_with_what_is_accepted(garbage: bytes) -> None:
    decoder = ContainerDecoder(MIXED)
    with pytest.raises(BadContainer, match="WAV, FLAC, MP3, Ogg .*, WebM, Matroska or MP4"):
        await decoder.feed(garbage)
    decoder.close()


@pytest.mark.parametrize(
    "magic",
    [b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"\x1a\x45\xdf\xa3", b"\0\0\0\x18ftypisom", b"ID3", b"\xff\xfb\x90\x64"],
)
async def test_garbage_behind_the_right_first_bytes_is_refused(magic: bytes) -> None:
    with pytest.raises(BadContainer):
        await feed_all(ContainerDecoder(MIXED), magic + random.Random(6).randbytes(100_000), [4_096])


async def test_a_stream_too_short_to_be_known_is_refused_at_its_end_and_none_at_all_is_no_error() -> None:
    with pytest.raises(BadContainer):
        await feed_all(ContainerDecoder(MIXED), b"fLa", [2])
    assert [len(track) for track in await feed_all(ContainerDecoder(SEPARATE), b"", [1])] == [0, 0]


async def test_damage_in_the_middle_costs_a_little_audio_and_is_told_at_the_end() -> None:
    data, decoder = bytearray(file("mp3")), ContainerDecoder(MIXED)
    middle = len(data) // 2
    data[middle : middle + 400] = random.Random(7).randbytes(400)
    (audio,) = await feed_all(decoder, bytes(data), [4_096])
    assert len(audio) / 16_000 == pytest.approx(DURATION_S, abs=0.3)
    assert isinstance(decoder.fault, BadContainer)


async def test_a_file_damaged_beyond_hope_gives_out_its_audio_and_then_raises() -> None:
    decoder, samples = ContainerDecoder(MIXED), 0
    data = file("mp3") + random.Random(8).randbytes(1_000_000)
    try:
        with pytest.raises(BadContainer):
            for start in range(0, len(data), 4_096):
                samples += len((await decoder.feed(data[start : start + 4_096]))[0])
    finally:
        decoder.close()
    assert samples >= 2.9 * 16_000


async def test_what_follows_the_end_of_a_file_is_ignored() -> None:
    samples = speechlike(1.0, 16_000)
    data = build(KINDS["matroska-flac"], samples, 16_000)
    (audio,) = await feed_all(ContainerDecoder(MIXED), data, [len(data)])
    (longer,) = await feed_all(ContainerDecoder(MIXED), data + bytes(500), [len(data), 100])
    assert np.array_equal(longer, audio)


async def test_a_file_without_audio_is_refused() -> None:
    with pytest.raises(BadContainer, match="no audio"):
        await feed_all(ContainerDecoder(MIXED), build_video(), [4_096])


async def test_a_codec_that_is_not_accepted_is_refused() -> None:
    data = build(Kind("matroska", "ac3"), speechlike(1.0, 48_000), 48_000)
    with pytest.raises(BadContainer, match="codec is not accepted"):
        await feed_all(ContainerDecoder(MIXED), data, [4_096])


def test_a_stream_whose_rate_and_channels_change_is_one_track() -> None:
    parts = [Block(speechlike(1.0, 48_000).T.copy(), 48_000), Block(speechlike(1.0, 8_000, 2).T.copy(), 8_000)]
    assert sum(len(tracks[0]) for tracks in container_module._convert(parts, is_separate=False)) == 32_000


async def test_a_file_that_expands_wildly_is_given_out_in_bounded_pieces() -> None:
    duration_s = 600
    data = build(KINDS["flac"], np.zeros((1, duration_s * 8_000), dtype=np.float32), 8_000)
    assert len(data) < 200_000
    decoder, total, largest = ContainerDecoder(MIXED), 0, 0
    (block,) = await decoder.feed(data)
    while decoder.pending:
        total, largest = total + len(block), max(largest, len(block))
        (block,) = await decoder.feed(b"")
    total += len(block)
    (block,) = await decoder.finish()
    assert total + len(block) == duration_s * 16_000
    assert largest <= 40 * 16_000
    decoder.close()


async def test_feeding_more_while_audio_is_pending_is_a_mistake() -> None:
    data = build(KINDS["flac"], np.zeros((1, 600 * 8_000), dtype=np.float32), 8_000)
    decoder = ContainerDecoder(MIXED)
    await decoder.feed(data)
    assert decoder.pending
    with pytest.raises(RuntimeError, match="pending"):
        await decoder.feed(b"more")
    decoder.close()


async def test_headers_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "_MAX_HEADER_BYTES", 20_000)
    tag = b"ID3\x04\x00\x00" + bytes([0, 0x7F, 0x7F, 0x7F])
    with pytest.raises(BadContainer, match="no audio within the first"):
        await feed_all(ContainerDecoder(MIXED), tag + bytes(100_000), [4_096])


@pytest.mark.parametrize("rate_hz", [1, 3_999, 400_000])
async def test_absurd_sample_rates_are_refused(rate_hz: int) -> None:
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 0, b"WAVE", b"fmt ", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16, b"data", 0
    )
    with pytest.raises(BadContainer, match="sample rate must be"):
        await feed_all(ContainerDecoder(MIXED), header + bytes(100_000), [4_096])


@pytest.mark.parametrize("fed", [0, 5, 2_000, 100_000])
async def test_closing_frees_the_thread_wherever_it_is(fed: int) -> None:
    decoder = ContainerDecoder(MIXED)
    await decoder.feed(file("flac")[:fed])
    decoder.close()
    decoder.close()


async def test_closing_frees_a_thread_that_waits_for_its_audio_to_be_taken() -> None:
    decoder = ContainerDecoder(MIXED)
    await decoder.feed(build(KINDS["flac"], np.zeros((1, 600 * 8_000), dtype=np.float32), 8_000))
    assert decoder.pending
    assert threads()
    decoder.close()


async def test_closing_lets_go_a_call_that_waits() -> None:
    decoder = ContainerDecoder(MIXED)
    waiting = asyncio.create_task(decoder.feed(file("flac")))
    await asyncio.sleep(0)
    decoder.close()
    await asyncio.wait_for(waiting, 5)


async def test_a_cancelled_call_can_be_followed_by_close() -> None:
    decoder = ContainerDecoder(MIXED)
    waiting = asyncio.create_task(decoder.feed(file("flac")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    decoder.close()


async def test_a_mistake_of_ours_in_the_thread_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Iterator[None]:
        raise ZeroDivisionError

    monkeypatch.setattr(container_module, "read_blocks", broken)
    with pytest.raises(InternalError):
        await feed_all(ContainerDecoder(MIXED), file("flac"), [4_096])


async def test_twenty_files_at_once_do_not_disturb_one_another() -> None:
    kinds = ["ogg-opus", "flac"] * 10
    alone = {kind: (await feed_all(ContainerDecoder(MIXED), file(kind), [4_096]))[0] for kind in set(kinds)}
    together = await asyncio.gather(*[feed_all(ContainerDecoder(MIXED), file(kind), [4_096]) for kind in kinds])
    assert all(np.array_equal(tracks[0], alone[kind]) for kind, tracks in zip(kinds, together, strict=True))


async def test_what_follows_the_end_of_a_file_is_not_kept() -> None:
    decoder = ContainerDecoder(MIXED)
    try:
        await decoder.feed(build(KINDS["mp4-fragmented"], speechlike(1.0, 16_000), 16_000))
        tracemalloc.start()
        for _ in range(50):
            await decoder.feed(bytes(100_000))
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        decoder.close()
    assert kept_bytes < 1_000_000


async def test_tags_that_are_not_utf_8_do_not_matter() -> None:
    data = file("wav")
    tag = b"INFOIART" + struct.pack("<I", 4) + b"Jos\xe9"
    tagged = data[:12] + b"LIST" + struct.pack("<I", len(tag)) + tag + data[12:]
    (audio,) = await feed_all(ContainerDecoder(MIXED), tagged, [4_096])
    assert np.array_equal(audio, (await feed_all(ContainerDecoder(MIXED), data, [4_096]))[0])


async def test_the_boxes_of_an_mp4_file_are_looked_at_once_however_small_its_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bytes] = []
    on_box = IndexSearch._on_box

    def look(search: IndexSearch, size: int, kind: bytes, long_size: bytes) -> bool | None:
        seen.append(kind)
        return on_box(search, size, kind, long_size)

    monkeypatch.setattr(IndexSearch, "_on_box", look)
    await feed_all(ContainerDecoder(MIXED), file(INDEX_LAST), [16])
    assert seen == [b"ftyp", b"free", b"mdat"]


async def test_the_chunks_of_a_large_frame_are_followed_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    on_loop: list[bool] = []
    follow = WavLength.feed

    def feed(length: WavLength, data: bytes) -> None:
        on_loop.append(threading.current_thread() is threading.main_thread())
        follow(length, data)

    monkeypatch.setattr(WavLength, "feed", feed)
    data = file("wav")
    junk = b"JUNK" + struct.pack("<I", 0)
    tagged = data[:12] + junk * 10_000 + data[12:]
    (audio,) = await feed_all(ContainerDecoder(MIXED), tagged, [4_096, 70_000])
    assert np.array_equal(audio, (await feed_all(ContainerDecoder(MIXED), data, [4_096]))[0])
    assert on_loop[:2] == [True, False]


async def test_a_codec_that_ffmpeg_does_not_know_is_not_accepted() -> None:
    data = bytearray(file("wav"))
    data[20:22] = b"\x00\x00"  # the format tag
    with pytest.raises(BadContainer, match=r"codec is not accepted|damaged"):
        await feed_all(ContainerDecoder(MIXED), bytes(data), [4_096])
