"""What a file is, by its bytes: pictures of four kinds, text in the encodings that people have, and nothing else."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from llmws.errors import InvalidRequest
from llmws.service.media import LARGEST, LONGEST_TEXT, Media, decoded, recognise


def png(width: int = 3, height: int = 2) -> bytes:
    """A whole picture, all red."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + b"\xff\0\0" * width for _ in range(height)))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


GIF = b"GIF89a" + struct.pack("<HH", 640, 480) + bytes(20)
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
    + bytes(9)
    + b"\xff\xff\xc4\x00\x04ab"  # a segment, a filler, a table
    + b"\xff\xc2\x00\x11\x08"
    + struct.pack(">HH", 480, 640)
    + bytes(20)
)
WEBP = {
    "lossy": b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480) + bytes(9),
    "lossless": b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 639 | 479 << 14) + bytes(9),
    "extended": b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0" + bytes(9),
}


@pytest.mark.parametrize(
    ("body", "type"),
    [(GIF, "image/gif"), (JPEG, "image/jpeg"), *((body, "image/webp") for body in WEBP.values())],
)
def test_a_picture_is_known_by_its_bytes(body: bytes, type: str) -> None:
    assert recognise(body, "notes.txt") == Media(type, 640, 480)


def test_a_picture_has_the_size_that_it_says() -> None:
    assert recognise(png(7, 5), "x") == Media("image/png", 7, 5)


@pytest.mark.parametrize("body", [png()[:20], png(0, 3), GIF[:8], JPEG[:30], WEBP["lossy"][:25]])
def test_a_damaged_picture_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"x\.png is a damaged picture"):
        recognise(body, "x.png")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7 ...", "is a PDF document"),
        (b"PK\x03\x04 ...", "Office document"),
        (b"\0\0\0\x18ftypheic....", "HEIC"),
        (b"II*\0....", "TIFF"),
        (b"\0\0\0\x18ftypmp42....", "sound or film"),
        (b"\x7fELF\x02\x01\x01" + bytes(20), "neither a picture nor text"),
        (b"text with \0 in it", "neither a picture nor text"),
        (bytes(LARGEST + 1), "8.0 MiB"),
        (b"a" * (LONGEST_TEXT + 1), "1.0 MiB of text"),
    ],
)
def test_what_no_model_takes_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        recognise(body, "picture.png")
    assert refused.value.remedy
    assert refused.value.code == "attachment_refused"


SAMPLES = {
    "utf-8": "Grüße, 世界 👋",
    "utf-8-sig": "Grüße, 世界 👋",
    "utf-16": "Grüße, 世界 👋",
    "utf-32": "plain",
    "gb18030": "姓名,年龄\n张三,30\n李四(程序员),25，爱好：读书。",
    "cp1252": "Général à l'été: “Ärger” für Größe, naïve Straße",
    "ascii": "def f(x):\n\treturn x\n",
}


@pytest.mark.parametrize("encoding", SAMPLES)
def test_text_is_read_in_the_encoding_that_it_has(encoding: str) -> None:
    assert decoded(SAMPLES[encoding].encode(encoding)) == SAMPLES[encoding]


def test_lines_end_alike() -> None:
    assert decoded(b"a\r\nb\r\n") == "a\nb\n"


@given(some.text(some.characters(categories=["L", "N", "P", "Zs"])))
def test_what_is_utf_8_is_read_as_such(text: str) -> None:
    assert decoded(b"\xef\xbb\xbf" + text.encode()) == text


@given(some.binary(), some.sampled_from([b"", png()[:24], GIF[:6], JPEG[:20], *(body[:16] for body in WEBP.values())]))
def test_whatever_is_sent_is_recognised_or_refused(tail: bytes, head: bytes) -> None:
    try:
        media = recognise(head + tail, "x")
    except InvalidRequest:
        return
    assert (media.text is None) == media.type.startswith("image/")


def test_no_file_takes_many_times_its_size() -> None:
    body = b"\xb0\xa1" * (LARGEST // 16)
    tracemalloc.start()
    decoded(body + b"\xff")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 6 * len(body)
