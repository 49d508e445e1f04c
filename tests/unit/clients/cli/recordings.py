"""Recordings made on the spot, in any container that PyAV writes."""

import math
from array import array
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame


def tone(seconds: float, *, rate_hz: int = 16_000, channels: int = 1, hz: float = 440.0) -> bytes:
    """A quiet sine in 16-bit PCM, interleaved; the second channel is silent."""
    samples = array("h")
    for index in range(int(seconds * rate_hz)):
        samples.append(int(8_000 * math.sin(2 * math.pi * hz * index / rate_hz)))
        samples.extend([0] * (channels - 1))
    return samples.tobytes()


def write_recording(
    path: Path, *, seconds: float = 1.0, codec: str = "pcm_s16le", rate_hz: int = 16_000, channels: int = 1
) -> Path:
    """Encode a tone; the suffix of `path` names the container."""
    layout = "stereo" if channels == 2 else "mono"
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, av.AudioStream)
        pcm = tone(seconds, rate_hz=rate_hz, channels=channels)
        frame = AudioFrame(format="s16", layout=layout, samples=len(pcm) // 2 // channels)
        frame.planes[0].update(pcm)
        frame.rate = rate_hz
        frame.time_base = Fraction(1, rate_hz)
        frame.pts = 0
        fifo = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate_hz, frame_size=stream.frame_size)
        for piece in [*fifo.resample(frame), *fifo.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path
