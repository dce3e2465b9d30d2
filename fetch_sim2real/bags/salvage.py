"""Reads files of a bag as far as they go: MCAP or SQLite, compressed as a whole or not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from backports import zstd

from fetch_sim2real.bags.database_file import DatabaseFile
from fetch_sim2real.bags.losses import Losses
from fetch_sim2real.bags.mcap_file import McapFile
from fetch_sim2real.bags.raw_message import RawMessage
from fetch_sim2real.errors import SetupError

_KINDS: Final[dict[str, type[McapFile] | type[DatabaseFile]]] = {".mcap": McapFile, ".db3": DatabaseFile}
PACKED: Final = ".zstd"
ENDINGS: Final = tuple(f"{kind}{packed}" for kind in _KINDS for packed in ("", PACKED))
# Little, since what was unpacked of a piece is lost with the damage in it.
_PIECE_BYTES: Final = 16_384


def salvaged(file: Path, losses: Losses) -> Iterator[RawMessage]:
    """The messages of ``file``, whose name ends in one of ``ENDINGS``; what cannot be read is named in ``losses``.

    Raises ``SetupError`` if a compressed file finds no room to be unpacked in.
    """
    try:
        if file.suffix != PACKED:
            yield from _KINDS[file.suffix](file, file.name, losses).messages()
            return
        with tempfile.TemporaryDirectory(prefix="fetch_sim2real_bag_") as folder:
            whole = Path(folder) / "unpacked"
            _unpack(file, whole, losses)
            yield from _KINDS[file.with_suffix("").suffix](whole, file.name, losses).messages()
    except OSError as error:
        losses.say(f"{file.name} cannot be read: {error.strerror or error}")


def _unpack(file: Path, whole: Path, losses: Losses) -> None:
    """Decompress ``file`` as far as it goes."""
    decompressor = zstd.ZstdDecompressor()
    with file.open("rb") as packed:
        try:
            with whole.open("wb") as unpacked:
                while piece := packed.read(_PIECE_BYTES):
                    while piece:
                        if decompressor.eof:
                            decompressor = zstd.ZstdDecompressor()
                        unpacked.write(decompressor.decompress(piece))
                        piece = decompressor.unused_data
        except OSError as error:
            raise SetupError(
                f"{file} cannot be unpacked into {whole.parent}: {error.strerror or error}; make room there, or set "
                "TMPDIR to a folder that has some"
            ) from error
        except (zstd.ZstdError, MemoryError) as error:
            at = packed.tell()
            rest = file.stat().st_size - at
            losses.say(f"{file.name} is damaged before byte {at}: {error}; its last {rest} bytes are left out")
            return
    if not decompressor.eof:
        losses.say(f"{file.name} has no end: what its recorder had not yet written when it ended is missing")
