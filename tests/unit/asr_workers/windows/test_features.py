import numpy as np

from asr_workers.windows.features import MIN_SAMPLES, Samples, log_mel, pad_to_context, samples_of


def test_pcm_becomes_floats_between_minus_one_and_one() -> None:
    pcm = np.array([0, 16_384, -32_768] * MIN_SAMPLES, dtype="<i2").tobytes()
    samples = samples_of(pcm)
    assert samples.dtype == np.float32
    assert samples[:3].tolist() == [0.0, 0.5, -1.0]
    assert samples.size == 3 * MIN_SAMPLES


def test_a_window_too_short_for_a_spectrogram_is_extended_with_silence() -> None:
    samples = samples_of(b"\x00\x40")
    assert samples.size == MIN_SAMPLES
    assert samples[0] == 0.5
    assert not samples[1:].any()


def test_features_are_float32_whatever_the_extractor_gives() -> None:
    def extract(samples: Samples) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.full((80, samples.size // 160), 0.25)

    features = log_mel(bytes(32_000), extract)
    assert features.dtype == np.float32
    assert features.shape == (80, 100)


def test_features_are_padded_with_zeros_to_the_context() -> None:
    padded = pad_to_context(np.ones((80, 250), dtype=np.float32), 8)
    assert padded.shape == (80, 800)
    assert padded.flags.c_contiguous
    assert padded[:, :250].all()
    assert not padded[:, 250:].any()


def test_features_beyond_the_context_are_cut() -> None:
    assert pad_to_context(np.ones((80, 900), dtype=np.float32), 8).shape == (80, 800)
