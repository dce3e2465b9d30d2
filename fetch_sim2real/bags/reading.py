"""Opens bags of any rosbag2 recorder, whole or cut off, and reads them as often as needed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2.errors import ReaderError
from rosbags.typesys import Stores, get_typestore

from fetch_sim2real.bags.salvage import RawMessage, Salvage
from fetch_sim2real.errors import SetupError

# Standard messages have the same layout in every ROS 2, so the definitions that a bag carries are not needed.
STORE: Final = get_typestore(Stores.ROS2_JAZZY)
METADATA_FILE: Final = "metadata.yaml"
_FILES: Final = (".mcap", ".db3")
_COMPRESSED: Final = re.compile(r"compression_mode:\s*['\"]?(message|file)", re.IGNORECASE)


class RecordedBag:
    """A bag. MCAP files are read from their beginning, so that it does not matter whether they were closed.

    ``losses`` says, in words, what of it could not be read; it is complete after ``messages`` has come to its end.
    ``renamed`` maps names of the graph to those in the bag, where they differ.
    """

    def __init__(self, path: Path, files: list[Path], renamed: dict[str, str]) -> None:
        """See ``open_bag``. ``files`` are read as they lie; if there are none, rosbags reads the folder ``path``."""
        self.path = path
        self.renamed = renamed
        self.losses: list[str] = []
        self._files = files

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Serialized messages of ``topics`` (the graph's names), in the order in which they were received.

        Raises ``SetupError`` where nothing can be read, or a bag of which rosbags needs the index has none.
        """
        self.losses = []
        ours = {self.renamed.get(name, name): name for name in topics}
        for message in self._lying() if self._files else self._indexed(ours):
            name = ours.get(message.topic)
            if name is not None:
                yield RawMessage(name, message.type, message.received_ns, message.data)

    def _lying(self) -> Iterator[RawMessage]:
        if self.path.is_dir() and not (self.path / METADATA_FILE).is_file():
            self.losses.append(f"the recorder did not close the bag: it has no {METADATA_FILE}")
        anything = False
        for file in self._files:
            salvage = Salvage(file)
            for message in salvage.messages():
                anything = True
                yield message
            self.losses += [salvage.loss] if salvage.loss else []
        if not anything:
            raise SetupError(f"no message of {self.path} can be read: {'; '.join(self.losses) or 'it is empty'}")

    def _indexed(self, names: Collection[str]) -> Iterator[RawMessage]:
        try:
            with AnyReader([self.path], default_typestore=STORE) as reader:
                wanted = [connection for connection in reader.connections if connection.topic in names]
                for connection, received_ns, data in reader.messages(wanted) if wanted else ():
                    yield RawMessage(connection.topic, connection.msgtype, received_ns, bytes(data))
        except (AnyReaderError, ReaderError, OSError) as error:
            raise SetupError(f"the bag {self.path} cannot be read: {error}") from error


def decoded(message: RawMessage) -> Any:
    """The message itself, with the fields that its type has. SetupError if it is damaged or of an unknown type."""
    try:
        return STORE.deserialize_cdr(message.data, message.type)
    except Exception as error:  # rosbags raises many kinds for bytes that are no message
        raise SetupError(
            f"a message on {message.topic}, received at {message.received_ns}, is no {message.type}: {error}"
        ) from error


def open_bag(path: Path, renamed: dict[str, str] | None = None) -> RecordedBag:
    """The bag at ``path``: its folder, the folder of a run that holds a ``bag``, or one .mcap or .db3 file.

    Raises ``SetupError`` if there is none.
    """
    path = path.expanduser()
    if path.is_dir() and not _is_bag(path) and (path / "bag").is_dir():
        path = path / "bag"
    files = [path] if path.suffix in _FILES and path.is_file() else _files_in(path)
    metadata = path / METADATA_FILE
    # Files or messages that rosbag2 has compressed itself are left to rosbags: only metadata.yaml tells how.
    compressed = metadata.is_file() and _COMPRESSED.search(metadata.read_text(encoding="utf-8", errors="replace"))
    if not files and not compressed:
        raise SetupError(f"{path} holds no bag, expected a folder with .mcap or .db3 files, or one such file")
    return RecordedBag(path, [] if compressed else files, dict(renamed or {}))


def _is_bag(folder: Path) -> bool:
    return bool(_files_in(folder)) or (folder / METADATA_FILE).is_file()


def _files_in(folder: Path) -> list[Path]:
    # rosbag2 numbers the parts of a long bag: name_0, name_1, ..., name_10.
    found = [file for file in folder.glob("*") if file.suffix in _FILES] if folder.is_dir() else []
    return sorted(found, key=lambda file: (len(file.name), file.name))
