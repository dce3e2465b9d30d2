"""The files of a bag: what ``metadata.yaml`` says they should hold, and their messages, read as far as they go.

They are MCAP or SQLite, compressed as a whole or not. The messages are read without ``metadata.yaml``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml
from backports import zstd

from fetch_sim2real.bags.database_file import DatabaseFile
from fetch_sim2real.bags.mcap_file import McapFile
from fetch_sim2real.bags.raw_message import Losses, RawMessage
from fetch_sim2real.errors import SetupError

METADATA_FILE: Final = "metadata.yaml"
_MAX_BYTES: Final = 32 * 2**20
# The fast one where PyYAML was built with it.
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class BagMetadata:
    """Names of a bag's files, and how many messages it should hold by topic; ``loss``: what is wrong with the file."""

    files: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    loss: str = ""


def read_metadata(folder: Path) -> BagMetadata:
    """Return the metadata of the bag in ``folder``; what is missing or cannot be read is a loss and no error."""
    path = folder / METADATA_FILE
    try:
        with path.open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        content = yaml.load(text, Loader=_Loader)["rosbag2_bagfile_information"]
        if not isinstance(content["relative_file_paths"], list):
            raise TypeError("relative_file_paths is no list")
        return BagMetadata(
            tuple(PurePosixPath(str(name)).name for name in content["relative_file_paths"]),
            {
                str(topic["topic_metadata"]["name"]): int(topic["message_count"])
                for topic in content["topics_with_message_count"]
            },
        )
    except FileNotFoundError:
        return BagMetadata(loss=f"the recorder did not close the bag: it has no {METADATA_FILE}")
    except OSError as error:
        why = error.strerror or str(error)
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError, RecursionError, yaml.YAMLError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
    return BagMetadata(loss=f"{METADATA_FILE} cannot be read, so nobody knows what the bag should hold: {why}")


_KINDS: Final[dict[str, type[McapFile] | type[DatabaseFile]]] = {".mcap": McapFile, ".db3": DatabaseFile}
PACKED: Final = ".zstd"
ENDINGS: Final = tuple(f"{kind}{packed}" for kind in _KINDS for packed in ("", PACKED))
# Little, since what was unpacked of a piece is lost with the damage in it.
_PIECE_BYTES: Final = 16_384


def salvaged(file: Path, losses: Losses) -> Iterator[RawMessage]:
    """Yield messages of ``file``, whose name ends in one of ``ENDINGS``; what cannot be read is named in ``losses``.

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
