"""Compressed parts of recordings; what a file declares never says how much is unpacked."""

from __future__ import annotations

import bz2
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lz4.frame
import zstandard

from pointsam_model.errors import CloudError

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MOST_BYTES = 2**30  # of a chunk or a message
MOST_FILE_BYTES = 64 * 2**30
SPARED_BYTES = 2**30  # that stay free on the disk
_PIECE = 2**20


def decompress(data: Any, kind: str, *, cut_off: bool = False) -> bytes:
    """What a chunk or a message holds.

    Args:
        data: bytes or a view of them.
        kind: as recordings name it: zstd, lz4, bz2; none or empty: not compressed.
        cut_off: the end may be missing; what comes before it is returned.

    Raises:
        CloudError: broken, larger than MOST_BYTES, or compressed otherwise.
    """
    if kind in ("", "none"):
        return bytes(data)
    if kind not in ("zstd", "lz4", "bz2"):
        raise CloudError(f"compression {kind!r} is not supported; zstd, lz4, bz2 and none are")
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in _pieces(data, kind):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                break
    except Exception as error:  # each library has its own
        if not cut_off:
            raise CloudError(f"broken {kind} data: {error}") from error
    if size > MOST_BYTES:
        raise CloudError(f"{kind} data holds more than {MOST_BYTES:,} bytes")
    return b"".join(pieces)


def _pieces(data: Any, kind: str) -> Iterator[bytes]:
    if kind == "zstd":
        reader = zstandard.ZstdDecompressor().stream_reader(data)
        while piece := reader.read(_PIECE):  # not read1, which may not come back
            yield piece
        return
    decoder: Any = lz4.frame.LZ4FrameDecompressor() if kind == "lz4" else bz2.BZ2Decompressor()
    piece = decoder.decompress(data, _PIECE)
    while piece:
        yield piece
        piece = b"" if decoder.eof else decoder.decompress(b"", _PIECE)


def unpack_file(path: Path, folder: Path) -> tuple[Path, str]:
    """A .zstd file unpacked into a folder, piece by piece.

    Returns:
        The file, named without .zstd; and why its end is missing, empty where it is whole.

    Raises:
        CloudError: it holds more than MOST_FILE_BYTES, or than the disk has room for.
    """
    most = min(MOST_FILE_BYTES, shutil.disk_usage(folder).free - SPARED_BYTES)
    unpacked, size = folder / path.stem, 0
    with path.open("rb") as packed, unpacked.open("wb") as out:
        reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
        try:
            while piece := reader.read(_PIECE):
                size += len(piece)
                if size > most:
                    raise CloudError(
                        f"{path} holds more than the {most:,} bytes that may be unpacked into "
                        f"{tempfile.gettempdir()}; unpack it yourself (zstd -d) and give the result"
                    )
                out.write(piece)
        except zstandard.ZstdError as error:
            return unpacked, f"{path} is cut off or broken: {error}"
    return unpacked, ""
