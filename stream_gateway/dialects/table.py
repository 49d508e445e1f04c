"""Which dialect is spoken on which path."""

from collections.abc import Callable, Mapping
from typing import Final

from bus.contract.client_protocol import PATH
from stream_gateway.dialects import deepgram, whisper_live
from stream_gateway.dialects.base import Dialect, Handshake
from stream_gateway.dialects.native import NativeDialect

DIALECTS: Final[Mapping[str, Callable[[Handshake], Dialect]]] = {
    PATH: NativeDialect,
    deepgram.PATH: deepgram.DeepgramDialect,
    **dict.fromkeys(whisper_live.PATHS, whisper_live.WhisperLiveDialect),
}
