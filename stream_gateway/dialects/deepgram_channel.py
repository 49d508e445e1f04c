"""What a Deepgram client has been shown of one channel.

Its finals tile the audio: each begins where the one before it ended, so that the silence before an utterance belongs to
it. An interim begins there too and shows the oldest utterance that is not final yet; those of a later one wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stream_gateway.dialects.deepgram_messages import Channel as ChannelResults
from stream_gateway.dialects.deepgram_messages import (
    Results,
    ResultsMetadata,
    ServerMessage,
    SpeechStarted,
    UtteranceEnd,
)
from stream_gateway.dialects.deepgram_query import Wishes
from stream_gateway.dialects.deepgram_text import alternative
from stream_gateway.session import events


@dataclass(slots=True)
class _Begun:
    start_s: float
    reason: str = ""


class Channel:
    """Times are seconds of the session's audio, shown to the millisecond."""

    def __init__(self, index: int, total: int, *, wishes: Wishes, metadata: ResultsMetadata) -> None:
        self._index = (index, total)
        self.wishes = wishes
        """May be replaced."""
        self._metadata = metadata
        self._final_to_s = 0.0
        self._begun: dict[int, _Begun] = {}  # utterances that are not final, oldest first
        self._last_word_end_s: float | None = None  # until its UtteranceEnd
        self._finalize_is_answered = False

    @property
    def awaits_end(self) -> bool:
        """Whether the silence that follows what was said may have to be told."""
        if self.wishes.utterance_end_s is None:
            return False
        return self._last_word_end_s is not None or any(begun.reason for begun in self._begun.values())

    def on_speech_started(self, event: events.SpeechStarted) -> list[ServerMessage]:
        """Somebody began to speak; the silence before was perhaps long enough to be told."""
        messages = self.after_silence(event.start_s)
        self._begun[event.segment] = _Begun(event.start_s)
        if self.wishes.vad_events:
            messages.append(SpeechStarted(channel=self._index, timestamp=round(event.start_s, 3)))
        return messages

    def on_speech_ended(self, event: events.SpeechEnded) -> None:
        """Why is told with its final."""
        self._begun[event.segment].reason = event.reason

    def on_partial(self, event: events.Partial) -> Sequence[ServerMessage]:
        """The whole of the utterance once more, if all before it is final."""
        if event.segment != next(iter(self._begun)):
            return ()
        return (self._results(event, event.end_s, is_final=False),)

    def on_final(self, event: events.Final | events.Failed, heard_to_s: float) -> list[ServerMessage]:
        """The text of an utterance, empty if it has none; `heard_to_s`: who began to speak before that was shown."""
        reason = self._begun.pop(event.segment).reason
        text = event if isinstance(event, events.Final) else None
        end_s = event.end_s
        if text is not None and text.words:
            end_s = max(end_s, text.words[-1].end_s)
            self._last_word_end_s = round(text.words[-1].end_s, 3)
        from_finalize = reason == "commit"
        self._finalize_is_answered |= from_finalize
        speech_final = self.wishes.speech_final and reason != "max_length"
        final = self._results(text, end_s, is_final=True, speech_final=speech_final, from_finalize=from_finalize)
        return [final, *self.after_silence(heard_to_s)]

    def on_flushed(self, upto_s: float) -> Sequence[ServerMessage]:
        """All that a Finalize asked for was told; if no final said so, an empty one does."""
        answered, self._finalize_is_answered = self._finalize_is_answered, False
        return () if answered else (self._results(None, upto_s, is_final=True, from_finalize=True),)

    def on_end(self, audio_s: float) -> list[ServerMessage]:
        """No audio follows: cover what is left of it."""
        rest = [self._results(None, audio_s, is_final=True)] if round(audio_s, 3) > self._final_to_s else []
        return [*rest, *self.after_silence(audio_s)]

    def after_silence(self, heard_to_s: float) -> list[ServerMessage]:
        """UtteranceEnd, once, if since the last word long enough nobody spoke until `heard_to_s`."""
        limit_s, word_end_s = self.wishes.utterance_end_s, self._last_word_end_s
        if limit_s is None or word_end_s is None:
            return []
        quiet_to_s = next((begun.start_s for begun in self._begun.values()), heard_to_s)
        if quiet_to_s - word_end_s < limit_s:
            return []
        self._last_word_end_s = None
        return [UtteranceEnd(channel=self._index, last_word_end=word_end_s)]

    def _results(
        self,
        said: events.Partial | events.Final | None,
        end_s: float,
        *,
        is_final: bool,
        speech_final: bool = False,
        from_finalize: bool = False,
    ) -> Results:
        start_s = self._final_to_s
        end_s = max(start_s, round(end_s, 3))
        if is_final:
            self._final_to_s = end_s
        detects = self.wishes.start.language is None
        spoken = alternative(
            said.text if said else "",
            said.words if said else (),
            punctuate=self.wishes.punctuate,
            not_before_s=start_s,
            languages=(said.language,) if said and said.language and detects else (),
        )
        return Results(
            channel_index=self._index,
            duration=round(end_s - start_s, 3),
            start=start_s,
            is_final=is_final,
            speech_final=speech_final,
            channel=ChannelResults(alternatives=(spoken,)),
            metadata=self._metadata,
            from_finalize=from_finalize,
        )
