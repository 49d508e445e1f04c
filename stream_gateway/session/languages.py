"""Languages that Whisper speaks, and the choice of one for a session.

Codes: the language table of openai/whisper `tokenizer.py` (99 languages, and `yue` since large-v3).
"""

LANGUAGES = frozenset(
    (
        "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy "
        "id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru "
        "sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh"
    ).split()
)
_MIN_PROBABILITY = 0.5


class SpokenLanguage:
    """The language of a session: as asked for, else as detected on its first utterance, then kept."""

    def __init__(self, requested: str | None) -> None:
        self._requested = self._language = requested

    @property
    def current(self) -> str | None:
        """What to decode in; None has it detected."""
        return self._language

    def request(self, language: str | None) -> None:
        """What is asked for; None, where a language was before, has it detected again."""
        if language != self._requested:
            self._requested = self._language = language

    def on_final(self, language: str | None, probability: float, text: str) -> None:
        """Keep the language of the first final that has words and was sure enough."""
        if self._language is None and text and probability >= _MIN_PROBABILITY:
            self._language = language
