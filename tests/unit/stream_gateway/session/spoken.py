"""What people say in a simulated world: stretches of speech and silence, and numbered words in the speech."""

from collections.abc import Sequence

from bus.contract.work import Word
from tests.unit.stream_gateway.session.builders import FRAME_S, samples

WORD_S = 0.3


def speech_frames(stretches: Sequence[tuple[float, float]]) -> list[bool]:
    frames: list[bool] = []
    for speech_s, silence_s in stretches:
        frames += [True] * round(speech_s / FRAME_S) + [False] * round(silence_s / FRAME_S)
    return frames


def numbered_words(stretches: Sequence[tuple[float, float]]) -> list[Word]:
    words: list[Word] = []
    at_frame = 0
    for speech_s, silence_s in stretches:
        start_s, speech_frames_here = at_frame * FRAME_S, round(speech_s / FRAME_S)
        for index in range(int(speech_frames_here * FRAME_S / WORD_S)):
            from_s = start_s + index * WORD_S
            stop = ("", ".", ",")[len(words) % 3]
            words.append(Word(f"w{len(words)}{stop}", from_s, from_s + WORD_S, 0.9))
        at_frame += speech_frames_here + round(silence_s / FRAME_S)
    return words


def middle(word: Word) -> int:
    return samples((word.start_s + word.end_s) / 2)
