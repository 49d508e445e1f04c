"""Text to tokens and back, for the torch engine: prompts with a given beginning, and answers in whole characters.

Pure: the tokenizer comes in as two functions.
"""

import re
from collections.abc import Callable, Iterable, Sequence

Encode = Callable[[str], list[int]]
"""Tokens of a text, none added."""
Decode = Callable[[Sequence[int]], str]
"""Text of tokens, special ones left out, bytes that are no character (yet) as U+FFFD."""

NO_CHARACTER = "\ufffd"
CONTEXT_TOKENS = 6
"""Tokens before a piece that decide how it begins: some tokenizers drop the space of a first token."""
_LETTER = "a"


class ControlTokens:
    """Texts that a tokenizer takes for control tokens, such as the end of a turn, wherever they stand."""

    def __init__(self, texts: Iterable[str]) -> None:
        longest_first = sorted(filter(None, texts), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def removed_from(self, text: str) -> str:
        """Give a message's text with a space for each: nobody ends a turn, or begins one of another role, by typing."""
        return self._pattern.sub(" ", text) if self._pattern else text


def prompt_tokens(opening: str, prefill: str, encode: Encode, decode: Decode) -> list[int]:
    """Tokens of a conversation up to where the answer begins, and of the answer's given beginning.

    The model is to go on as if it had written the beginning itself, so the tokens of both are those that it would have
    had before it: the opening's own, whatever follows, and in the beginning those of a text that goes on.
    """
    start = encode(opening)
    if not prefill:
        return start
    whole = _open_ended(opening + prefill, encode, decode)
    if whole[: len(start)] == start:
        return whole
    return start + _open_ended(prefill, encode, decode)


def _open_ended(text: str, encode: Encode, decode: Decode) -> list[int]:
    """Tokens of a text that goes on.

    It matters after white space: byte-level tokenizers give the last character of a run to the word that follows, so
    two line breaks are two tokens before a word, and one at the end of a text.
    """
    if text[-1:].isspace():
        tokens = encode(text + _LETTER)
        if decode(tokens[-1:]) == _LETTER:
            return tokens[:-1]
    return encode(text)


class Detokeniser:
    """The text of a growing answer, piece by piece. Joined, the pieces are the text of all its tokens.

    A character whose bytes are not all there is kept back, and never given if they do not come.
    """

    def __init__(self, decode: Decode, prompt: Sequence[int] = ()) -> None:
        """`prompt`: the tokens before the answer."""
        self._decode = decode
        self._window = list(prompt[-CONTEXT_TOKENS:])
        self._whole_tokens = len(self._window)
        self._given = decode(self._window)

    def take(self, tokens: Sequence[int]) -> str:
        """Give what is new in whole characters, perhaps nothing, with the next tokens of the answer.

        Decodes these and those of the piece before, so the cost does not grow with the answer.
        """
        self._window.extend(tokens)
        text = self._decode(self._window)
        whole = text.rstrip(NO_CHARACTER)
        piece = whole[len(self._given) :]
        if not piece:
            return ""
        self._given = whole
        if whole == text:
            del self._window[: self._whole_tokens]
            self._whole_tokens = len(self._window)
            self._given = self._decode(self._window)
        return piece
