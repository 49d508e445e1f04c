"""Builds audio files in memory, and decodes them in one piece without any of our code."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import soundfile
from av.audio.stream import AudioStream
from numpy.typing import NDArray

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Kind:
    """A container with a codec in it. `format` None: written by libsndfile, as Ogg Vorbis."""

    format: str | None
    codec: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    lag_s: float = 0.15
    """How much longer than the original the decoded audio may be: lossy codecs pad."""


KINDS = {
    "wav": Kind("wav", "pcm_s16le", lag_s=0),
    "wav-24-bit": Kind("wav", "pcm_s24le", lag_s=0),
    "wav-float": Kind("wav", "pcm_f32le", lag_s=0),
    "wav-8-bit": Kind("wav", "pcm_u8", lag_s=0),
    "wav-mulaw": Kind("wav", "pcm_mulaw", lag_s=0),
    "flac": Kind("flac", "flac", lag_s=0),
    "mp3": Kind("mp3", "libmp3lame"),
    "ogg-vorbis": Kind(None),
    "ogg-opus": Kind("ogg", "libopus"),
    "webm-opus": Kind("webm", "libopus"),
    "matroska-flac": Kind("matroska", "flac", lag_s=0),
    "mp4-index-last": Kind("mp4", "aac"),
    "mp4-fragmented": Kind("mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "200000"}),
}
INDEX_LAST = "mp4-index-last"


def speechlike(duration_s: float, rate_hz: int, channels: int = 1) -> Samples:
    """A tone that comes and goes, over a little noise: [channels, samples]; each channel has its own pitch."""
    times = np.arange(round(duration_s * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).normal(0, 0.005, len(times))
    swell = 0.3 * (1 + np.sin(2 * np.pi * 1.3 * times)) / 2
    return np.stack(
        [swell * np.sin(2 * np.pi * 300 * (channel + 1) * times) + noise for channel in range(channels)]
    ).astype(np.float32)


def build(kind: Kind, samples: Samples, rate_hz: int, *, cover: bool = False) -> bytes:
    """The file; with `cover`, a video stream of one picture comes first."""
    file = io.BytesIO()
    if kind.format is None:
        soundfile.write(file, samples.T, rate_hz, format="OGG", subtype="VORBIS")
        return file.getvalue()
    layout = "mono" if len(samples) == 1 else "stereo"
    with av.open(file, "w", format=kind.format, options=dict(kind.options)) as container:
        if cover:
            picture = container.add_stream("mjpeg", rate=1, width=32, height=32, pix_fmt="yuvj420p")
        stream = container.add_stream(kind.codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, AudioStream)
        if cover:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate_hz)
        for start in range(0, samples.shape[1], 4096):
            block = np.ascontiguousarray(samples[:, start : start + 4096])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
            for converted in resampler.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return file.getvalue()


def build_video() -> bytes:
    """A file with pictures only."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=1, width=32, height=32, pix_fmt="yuvj420p")
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def decode_directly(data: bytes, *, channels: int = 1) -> NDArray[np.int16]:
    """What FFmpeg alone makes of a whole file that it may seek in, at 16 kHz: [channels, samples]."""
    layout = "mono" if channels == 1 else "stereo"
    resampler = av.AudioResampler(format="s16p", layout=layout, rate=16_000)
    with av.open(io.BytesIO(data), "r") as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
