"""What a file is, by its bytes: a picture that models take, text in some encoding, or neither, with the reason; pure.

A file's name says nothing of this, and what it says is not trusted: it only decides what a text is called.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InvalidRequest

LARGEST = 8 * 2**20
LONGEST_TEXT = 2**20

_TEXT_TYPES = {".md": "text/markdown", ".csv": "text/csv", ".json": "application/json"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What people attach most often of what no model takes as it is: what it is, and what helps.
_STRANGERS = (
    (rb"%PDF-", "a PDF document", "Copy its text into a .txt file, or attach its pages as pictures."),
    (rb"PK\x03\x04", "an archive or an Office document", "Save it as text (.txt, .md or .csv)."),
    (rb"\xd0\xcf\x11\xe0", "an old Office document", "Save it as text (.txt, .md or .csv)."),
    (rb"....ftyp(heic|heix|hevc|mif1|avif)", "a HEIC or AVIF picture", "Save it as JPEG or PNG."),
    (rb"BM....\x00\x00\x00\x00|II\*\x00|MM\x00\*", "a BMP or TIFF picture", "Save it as JPEG or PNG."),
    (rb"....ftyp|\x1aE\xdf\xa3|ID3|OggS|RIFF....(WAVE|AVI )", "sound or film", "Attach pictures or text."),
)
_ONLY = "Attach pictures (PNG, JPEG, WebP, GIF) or text."
# A letter of the level-1 hanzi of GB2312, those that are written: https://en.wikipedia.org/wiki/GB_2312#Rows
_COMMON_HANZI = re.compile(rb"[\xb0-\xd7][\xa1-\xfe]")
_HIGH = bytes(range(0x80, 0x100))
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True, slots=True)
class Media:
    """A file as it was recognised: a picture has a size in pixels, anything else is `text`."""

    type: str
    width: int | None = None
    height: int | None = None
    text: str | None = None


def recognise(body: bytes, name: str) -> Media:
    """What the file `name` is.

    Raises:
        InvalidRequest: no model could be given it; the message says why.

    Example:
        >>> recognise("船,1".encode("gb18030"), "ships.csv")
        Media(type='text/csv', width=None, height=None, text='船,1')
        >>> recognise(b"%PDF-1.7", "report.png")
        Traceback (most recent call last):
        llmws.errors.InvalidRequest: report.png is a PDF document. Copy its text into a .txt file, or attach its pages \
as pictures.
    """
    if not body:
        raise _refused(f"{name} is empty.", "Choose another file.")
    if len(body) > LARGEST:
        raise _refused(f"{name} has {len(body) / 2**20:,.1f} MiB.", f"An attachment has {LARGEST // 2**20} at most.")
    for begin, kind, measure in _PICTURES:
        if re.match(begin, body, re.DOTALL):
            if (size := measure(body)) is None or 0 in size:
                raise _refused(f"{name} is a damaged picture.", "Save it anew, or choose another.")
            return Media(kind, *size)
    for begin, what, remedy in _STRANGERS:
        if re.match(begin, body, re.DOTALL):
            raise _refused(f"{name} is {what}.", remedy)
    text = decoded(body)
    if text is None:
        raise _refused(f"{name} is neither a picture nor text.", _ONLY)
    if len(body) > LONGEST_TEXT:
        raise _refused(
            f"{name} has {len(body) / 2**20:,.1f} MiB of text.",
            f"A text file has {LONGEST_TEXT // 2**20} MiB at most; attach a part of it.",
        )
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    return Media(_TEXT_TYPES.get(suffix, "text/plain"), text=text)


def decoded(body: bytes) -> str | None:
    """The text that `body` is, or None: by its byte order mark, as UTF-8, or the likelier of GB18030 and Windows-1252.

    Whatever is not UTF-8 could be either of these. Chinese text is made of common characters, two high bytes each;
    Western text, where high bytes stand alone among letters, hardly has such pairs.

    Example:
        >>> [decoded(text.encode(encoding)) for text, encoding in (("你好", "gb18030"), ("café", "cp1252"))]
        ['你好', 'café']
        >>> decoded(bytes(range(256))) is None
        True
    """
    marked = next((encoding for mark, encoding in _BOMS if body.startswith(mark)), None)
    for encoding in (marked,) if marked else ("utf-8", _likelier(body)):
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if _CONTROLS.search(text) else text.replace("\r\n", "\n")
    return None


def _likelier(body: bytes) -> str:
    begin = body[:LONGEST_TEXT]
    high = len(begin) - len(begin.translate(None, _HIGH))
    # A list of them would be many times as large as the file.
    pairs = sum(1 for _ in _COMMON_HANZI.finditer(begin))
    return "gb18030" if 2 * pairs * 2 > high else "cp1252"


# The size of a picture in pixels, where its bytes say it


def _png(body: bytes) -> tuple[int, int] | None:
    return (_big(body, 16, 4), _big(body, 20, 4)) if body[12:16] == b"IHDR" and len(body) > 24 else None


def _gif(body: bytes) -> tuple[int, int] | None:
    return (_little(body, 6, 2), _little(body, 8, 2)) if len(body) > 13 else None


def _jpeg(body: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(body) and body[at] == 0xFF:
        marker = body[at + 1]
        if marker == 0xFF:  # a filler
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(body, at + 7, 2), _big(body, at + 5, 2)
        else:
            at += 2 + _big(body, at + 2, 2)
    return None


def _webp(body: bytes) -> tuple[int, int] | None:
    """https://developers.google.com/speed/webp/docs/riff_container"""
    if len(body) < 30:
        return None
    match body[12:16]:
        case b"VP8X":
            return 1 + _little(body, 24, 3), 1 + _little(body, 27, 3)
        case b"VP8L":
            bits = _little(body, 21, 4)
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 " if body[23:26] == b"\x9d\x01\x2a":
            return _little(body, 26, 2) & 0x3FFF, _little(body, 28, 2) & 0x3FFF
    return None


_PICTURES: tuple[tuple[bytes, str, Callable[[bytes], tuple[int, int] | None]], ...] = (
    (rb"\x89PNG\r\n\x1a\n", "image/png", _png),
    (rb"\xff\xd8\xff", "image/jpeg", _jpeg),
    (rb"GIF8[79]a", "image/gif", _gif),
    (rb"RIFF....WEBP", "image/webp", _webp),
)


def _big(body: bytes, at: int, length: int) -> int:
    return int.from_bytes(body[at : at + length], "big")


def _little(body: bytes, at: int, length: int) -> int:
    return int.from_bytes(body[at : at + length], "little")


def _refused(message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(message, remedy=remedy, code="attachment_refused")
