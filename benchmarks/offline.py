"""The reference: faster-whisper on whole files, greedy, with the weights that the service uses."""

from collections.abc import Sequence

from faster_whisper import WhisperModel

from benchmarks.recordings import Recording
from bus.runtime.model_store.store import default_cache_dir, resolve


class Offline:
    """One loaded model. Blocking."""

    def __init__(self, *, model: str = "base", compute_type: str = "int8", threads: int = 0) -> None:
        path = resolve(model, cache_dir=default_cache_dir())
        self._model = WhisperModel(str(path), device="cpu", compute_type=compute_type, cpu_threads=threads)

    def transcribe(self, recording: Recording) -> str:
        """The text of the whole file: beam 1, temperature 0, language as the manifest names it."""
        segments, _ = self._model.transcribe(
            str(recording.path), beam_size=1, temperature=0.0, language=recording.language
        )
        return " ".join(segment.text.strip() for segment in segments)


def transcribe_offline(recordings: Sequence[Recording]) -> list[str]:
    """Load the model, transcribe all, in order, and forget the model."""
    offline = Offline()
    return [offline.transcribe(one) for one in recordings]
