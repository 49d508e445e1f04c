"""Which dialect is spoken on which path."""

import secrets
from collections.abc import Callable, Mapping
from typing import Final

from bus.contract.client_protocol import PATH
from stream_gateway.dialects import deepgram, openai_realtime, whisper_live
from stream_gateway.dialects.base import Dialect, Handshake
from stream_gateway.dialects.native import NativeDialect


def _openai(handshake: Handshake) -> Dialect:
    return openai_realtime.OpenAiDialect(handshake, nonce=secrets.token_hex(6))


DIALECTS: Final[Mapping[str, Callable[[Handshake], Dialect]]] = {
    PATH: NativeDialect,
    deepgram.PATH: deepgram.DeepgramDialect,
    **dict.fromkeys(openai_realtime.PATHS, _openai),
    **dict.fromkeys(whisper_live.PATHS, whisper_live.WhisperLiveDialect),
}
