import io
from contextlib import aclosing
from pathlib import Path

from bus.contract.client_protocol import AudioFormat
from clients.cli.sources import Source, file_source, raw_source, stream_source
from tests.unit.clients.cli.recordings import tone, write_recording


async def collect(source: Source) -> list[bytes]:
    async with aclosing(source.chunks()) as chunks:
        return [chunk async for chunk in chunks]


async def test_a_file_is_decoded_to_16_khz_in_short_pieces_when_paced(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.wav")
    source = file_source(path, separate_channels=False, paced=True)
    chunks = await collect(source)
    assert (source.label, source.audio, source.bytes_per_s) == (str(path), AudioFormat(), 32_000)
    assert b"".join(chunks) == tone(1.0)
    assert len(chunks) == 10


async def test_a_file_that_is_not_paced_goes_out_in_longer_pieces(tmp_path: Path) -> None:
    source = file_source(write_recording(tmp_path / "a.wav"), separate_channels=False, paced=False)
    assert len(await collect(source)) == 2


async def test_separate_channels_are_asked_for_and_sent_interleaved(tmp_path: Path) -> None:
    source = file_source(write_recording(tmp_path / "a.wav", channels=2), separate_channels=True, paced=False)
    assert source.audio == AudioFormat(channels=2, channel_mode="separate")
    assert source.bytes_per_s == 64_000
    assert b"".join(await collect(source)) == tone(1.0, channels=2)


async def test_a_pipe_is_decoded_like_a_file(tmp_path: Path) -> None:
    class Pipe:
        def __init__(self, data: bytes) -> None:
            self._data = io.BytesIO(data)

        def read(self, size: int = -1, /) -> bytes:
            return self._data.read(size)

    reader = Pipe(write_recording(tmp_path / "a.wav").read_bytes())
    source = stream_source(reader, label="stdin", separate_channels=False, paced=False)
    assert b"".join(await collect(source)) == tone(1.0)


async def test_bare_samples_go_out_as_they_come_in_their_own_format() -> None:
    source = raw_source(
        io.BytesIO(b"u" * 2_000),
        label="stdin",
        raw_format="mulaw",
        rate_hz=8_000,
        channels=2,
        separate_channels=False,
    )
    assert source.audio == AudioFormat(encoding="mulaw", sample_rate=8_000, channels=2)
    assert source.bytes_per_s == 16_000
    assert [len(chunk) for chunk in await collect(source)] == [1_600, 400]
