import io
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from clients.cli.media import ByteReader, DescriptorReader, MediaError, decode, read_raw
from tests.unit.clients.cli.recordings import tone, write_recording


def decoded(source: Path | ByteReader, *, channels: int = 1, chunk_bytes: int = 3_200) -> list[bytes]:
    return list(decode(source, channels=channels, chunk_bytes=chunk_bytes))


class BrokenReader:
    def __init__(self, fault: Exception, before: bytes = b"") -> None:
        self._fault = fault
        self._before = before

    def read(self, size: int = -1, /) -> bytes:
        if not self._before:
            raise self._fault
        data, self._before = self._before, b""
        return data


def loudness(pcm: Iterable[int]) -> int:
    return max(abs(sample) for sample in pcm)


def test_a_16_khz_wav_file_comes_through_unchanged_in_pieces_of_the_asked_size(tmp_path: Path) -> None:
    chunks = decoded(write_recording(tmp_path / "a.wav"), chunk_bytes=3_000)
    assert b"".join(chunks) == tone(1.0)
    assert {len(chunk) for chunk in chunks[:-1]} == {3_000}
    assert len(chunks[-1]) == 32_000 % 3_000


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [
        ("a.flac", "flac", 44_100),
        ("a.mp3", "libmp3lame", 44_100),
        ("a.ogg", "libopus", 48_000),
        ("a.opus", "libopus", 48_000),
        ("a.webm", "libopus", 48_000),
        ("a.mp4", "aac", 48_000),
        ("a.wav", "pcm_f32le", 8_000),
    ],
)
def test_any_container_becomes_16_khz_of_the_same_length(tmp_path: Path, name: str, codec: str, rate_hz: int) -> None:
    path = write_recording(tmp_path / name, seconds=2.0, codec=codec, rate_hz=rate_hz)
    pcm = b"".join(decoded(path))
    assert len(pcm) / 32_000 == pytest.approx(2.0, abs=0.1)
    assert loudness(memoryview(pcm).cast("h")) > 4_000


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.webm", "libopus"), ("a.mp3", "libmp3lame")])
def test_a_container_on_a_pipe_needs_no_seeking(tmp_path: Path, name: str, codec: str) -> None:
    path = write_recording(tmp_path / name, codec=codec, rate_hz=48_000)

    class Pipe:
        def __init__(self) -> None:
            self._data = io.BytesIO(path.read_bytes())

        def read(self, size: int = -1, /) -> bytes:
            return self._data.read(min(size, 1_000))

    assert sum(map(len, decoded(Pipe()))) / 32_000 == pytest.approx(1.0, abs=0.1)


def test_channels_stay_apart_on_request(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "call.wav", channels=2)
    samples = memoryview(b"".join(decoded(path, channels=2))).cast("h")
    assert loudness(samples[0::2]) > 7_000
    assert loudness(samples[1::2]) == 0


def test_channels_are_mixed_otherwise(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "call.wav", channels=2)
    samples = memoryview(b"".join(decoded(path))).cast("h")
    assert 3_000 < loudness(samples) < 7_000


def test_separate_channels_of_a_mono_recording_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="has 1 channel"):
        decoded(write_recording(tmp_path / "a.wav"), channels=2)


@pytest.mark.parametrize("content", [b"", b"not a recording at all\n" * 1000, bytes(range(256)) * 100])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.bin"
    path.write_bytes(content)
    with pytest.raises(MediaError):
        decoded(path)


def test_a_file_that_is_gone_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="No such file"):
        decoded(tmp_path / "gone.wav")


def test_of_a_truncated_file_everything_before_the_cut_is_given(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.flac", seconds=4.0, codec="flac")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert sum(map(len, decoded(path))) > 32_000


def test_damage_in_the_middle_is_skipped(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp3", seconds=4.0, codec="libmp3lame", rate_hz=44_100)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3_000] = b"\x55" * 3_000
    path.write_bytes(content)
    assert sum(map(len, decoded(path))) > 3 * 32_000


def test_tags_that_are_not_utf_8_do_not_keep_a_recording_from_being_read(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.wav")
    chunks = path.read_bytes()[12:]
    artist = b"LIST" + (16).to_bytes(4, "little") + b"INFOIART" + (4).to_bytes(4, "little") + b"Jos\xe9"
    body = b"WAVE" + artist + chunks
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    assert b"".join(decoded(path)) == tone(1.0)


def test_a_recording_that_changes_its_sample_format_says_so(tmp_path: Path) -> None:
    one = write_recording(tmp_path / "a.mp3", codec="libmp3lame", rate_hz=44_100)
    other = write_recording(tmp_path / "b.mp3", codec="libmp3lame", rate_hz=48_000, channels=2)
    one.write_bytes(one.read_bytes() + other.read_bytes())
    with pytest.raises(MediaError, match="changes its sample format in the middle"):
        decoded(one)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "odd"), "not a readable recording: UnicodeDecodeError"),
        (OSError(5, "Input/output error"), "not a readable recording: Input/output error"),
    ],
)
def test_another_fault_of_a_container_is_not_taken_for_a_change_of_format(fault: Exception, reason: str) -> None:
    with pytest.raises(MediaError, match=reason):
        decoded(BrokenReader(fault))


def test_bare_samples_that_cannot_be_read_are_a_fault_of_the_recording_after_what_came_before() -> None:
    chunks = read_raw(BrokenReader(OSError(5, "Input/output error"), b"abc"), chunk_bytes=3)
    assert next(chunks) == b"abc"
    with pytest.raises(MediaError, match="cannot be read: Input/output error"):
        next(chunks)


def test_a_descriptor_is_read_as_bytes_arrive_and_stays_open() -> None:
    readable, writable = os.pipe()
    try:
        os.write(writable, b"abc")
        reader = DescriptorReader(readable)
        assert reader.read(2) == b"ab"
        assert reader.read() == b"c"
        os.write(writable, b"defg")
        os.close(writable)
        writable = -1
        assert list(read_raw(reader, chunk_bytes=3)) == [b"def", b"g"]
        os.fstat(readable)
    finally:
        os.close(readable)
        if writable >= 0:
            os.close(writable)
