"""What a container is, and whether it came whole, told from its bytes. Pure."""

from typing import Literal

HEAD_BYTES = 12
"""`sniff` needs this many."""
ACCEPTED = "WAV, FLAC, MP3, Ogg (Vorbis, Opus, FLAC), WebM, Matroska or MP4 (AAC, ALAC)"

Demuxer = Literal["wav", "flac", "mp3", "ogg", "matroska", "mov"]
"""Name of the one demuxer to be used. Never left to probing: some of FFmpeg's demuxers open files and URLs."""

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp")
_MAX_BOXES = 1_000
"""Before the index or the media of an MP4 file; there are a handful in fact."""
_OGG_HEADER_BYTES = 27
_UNKNOWN_LENGTH = 0x7FFF_0000
"""Programs that write to a pipe cannot know the length, and put a number from here up, or 0, in its place."""


def sniff(head: bytes) -> Demuxer | None:
    """The demuxer for a stream that begins with `head` (HEAD_BYTES long); None if it is nothing that is accepted."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[4:8] in _MP4_BOXES:
        return "mov"
    if head[:3] == b"ID3" or _is_mpeg_audio_header(head):
        return "mp3"
    return None


class IndexSearch:
    """Whether an MP4 file has its index before its media, and can be decoded as it arrives.

    Follows its boxes while they come, each once: files may be long, and made so that nothing is in them but boxes.
    """

    def __init__(self) -> None:
        self._offset = 0
        self._boxes = 0
        self.comes_first: bool | None = None
        """None: not yet known."""

    def look(self, head: bytes | memoryview) -> bool | None:
        """Go on with all that came of the file so far; the answer, which stays."""
        while self.comes_first is None and self._offset + 16 <= len(head):
            box = bytes(head[self._offset : self._offset + 16])
            self.comes_first = self._on_box(int.from_bytes(box[:4], "big"), box[4:8], box[8:])
        return self.comes_first

    def _on_box(self, size: int, kind: bytes, long_size: bytes) -> bool | None:
        if kind in (b"moov", b"moof"):
            return True
        if kind == b"mdat":
            return False
        if size == 1:
            size = int.from_bytes(long_size, "big")
        self._offset += size
        self._boxes += 1
        return True if size < 8 or self._boxes > _MAX_BOXES else None  # damaged: the demuxer will say so


class LengthCheck:
    """Follows the chunks of a stream, to say at its end whether something is missing. This one never finds anything.

    It serves the containers of which the demuxer notices a cut by itself, and MP3, of which nobody can tell.
    """

    _header_bytes = 0
    """Length of the next chunk header; 0 stops following."""

    def __init__(self) -> None:
        self._skip = 0
        self._header = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes, in any chunking."""
        rest = memoryview(data)
        while rest and self._header_bytes:
            skipped = min(self._skip, len(rest))
            self._skip -= skipped
            rest = rest[skipped:]
            missing = self._header_bytes - len(self._header)
            self._header += rest[:missing]
            rest = rest[missing:]
            if len(self._header) == self._header_bytes:
                header, self._header = self._header, b""
                self._skip = self._on_header(header)

    @property
    def is_cut(self) -> bool:
        """Whether the stream, if it ended here, would end in the middle of a chunk."""
        return self._header_bytes > 0 and (self._skip > 0 or self._header != b"")

    def _on_header(self, header: bytes) -> int:
        """Take a chunk header; return the length of the body that follows."""
        raise NotImplementedError


class WavLength(LengthCheck):
    """The length that a WAV file announces: FFmpeg takes a cut file for a whole one."""

    _header_bytes = 12

    def _on_header(self, header: bytes) -> int:
        if len(header) == 12:  # RIFF, size, WAVE
            self._header_bytes = 8
            return 0
        size = int.from_bytes(header[4:8], "little")
        if header[:4] != b"data":
            return size + size % 2
        if size == 0 or size >= _UNKNOWN_LENGTH:
            self._header_bytes = 0
        return size  # without the padding byte, which some writers forget


class OggLength(LengthCheck):
    """Whole pages: FFmpeg drops a page that is cut, without a word."""

    _header_bytes = _OGG_HEADER_BYTES
    _is_in_table = False

    @property
    def is_cut(self) -> bool:
        """Also between the header of a page and its table of segments."""
        return super().is_cut or self._is_in_table

    def _on_header(self, header: bytes) -> int:
        if self._is_in_table:
            self._is_in_table, self._header_bytes = False, _OGG_HEADER_BYTES
            return sum(header)
        if header[:4] != b"OggS":
            self._header_bytes = 0  # out of step: the demuxer looks for the next page, and we judge no more
        elif header[26]:
            self._is_in_table, self._header_bytes = True, header[26]
        return 0


def length_check(demuxer: Demuxer) -> LengthCheck:
    """The check for a stream of this kind."""
    match demuxer:
        case "wav":
            return WavLength()
        case "ogg":
            return OggLength()
        case _:
            return LengthCheck()


def _is_mpeg_audio_header(head: bytes) -> bool:
    """11 sync bits, then no reserved version, layer, bit rate or sample rate."""
    header = int.from_bytes(head[:4], "big")
    return (
        header >> 21 == 0x7FF
        and header >> 19 & 3 != 1
        and header >> 17 & 3 != 0
        and header >> 12 & 15 not in (0, 15)
        and header >> 10 & 3 != 3
    )
