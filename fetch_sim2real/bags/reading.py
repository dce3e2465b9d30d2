"""Opens bags of any rosbag2 recorder, whole or cut off, and reads them as often as needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2.errors import ReaderError
from rosbags.typesys import Stores, get_typestore

from fetch_sim2real.bags.salvage import RawMessage, Salvage
from fetch_sim2real.errors import SetupError

# Standard messages have the same layout in every ROS 2, so the definitions that a bag carries are not needed.
STORE: Final = get_typestore(Stores.ROS2_JAZZY)
_FILES: Final = (".mcap", ".db3")


@dataclass(frozen=True)
class RecordedBag:
    """A bag: ``topics`` maps names to types, ``counts`` to numbers of messages.

    ``losses`` says, in words, what of it cannot be read; empty for a bag that was closed properly. ``renamed`` maps
    names of the graph to those in the bag, where they differ.
    """

    path: Path
    topics: dict[str, str]
    counts: dict[str, int]
    losses: tuple[str, ...]
    files: tuple[Path, ...]
    renamed: dict[str, str]

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Serialized messages of ``topics`` (the graph's names), in the order in which they were received.

        Raises ``SetupError`` where a bag that has an index cannot be read after all.
        """
        ours = {self.renamed.get(name, name): name for name in topics}
        for message in self._salvaged() if self.files else self._indexed(ours):
            if message.topic in ours:
                yield RawMessage(ours[message.topic], message.type, message.received_ns, message.data)

    def _salvaged(self) -> Iterator[RawMessage]:
        for file in self.files:
            yield from Salvage(file).messages()

    def _indexed(self, names: Collection[str]) -> Iterator[RawMessage]:
        try:
            with AnyReader([self.path], default_typestore=STORE) as reader:
                wanted = [connection for connection in reader.connections if connection.topic in names]
                for connection, received_ns, data in reader.messages(wanted) if wanted else ():
                    yield RawMessage(connection.topic, connection.msgtype, received_ns, data)
        except (AnyReaderError, ReaderError, OSError) as error:
            raise SetupError(f"the bag {self.path} cannot be read to its end: {error}") from error


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
    if path.is_dir() and not _files_in(path) and (path / "bag").is_dir():
        path = path / "bag"
    files = [path] if path.suffix in _FILES and path.is_file() else _files_in(path)
    if not files:
        raise SetupError(f"{path} holds no bag, expected a folder with .mcap or .db3 files, or one such file")
    names = dict(renamed or {})
    if path.is_dir() and (path / "metadata.yaml").is_file():
        try:
            with AnyReader([path], default_typestore=STORE) as reader:
                topics = {connection.topic: connection.msgtype for connection in reader.connections}
                counts = dict.fromkeys(topics, 0)
                for connection in reader.connections:
                    counts[connection.topic] += connection.msgcount
                return RecordedBag(path, topics, counts, (), (), names)
        except Exception as error:  # a file cut off or damaged: many kinds of error
            losses = [f"the bag was not closed, its index cannot be used ({error})"]
    else:
        losses = [] if path.is_file() else ["the bag was not closed: it has no metadata.yaml"]
    topics, counts = {}, {}
    for file in files:
        salvage = Salvage(file)
        for message in salvage.messages():
            topics[message.topic] = message.type
            counts[message.topic] = counts.get(message.topic, 0) + 1
        losses += [salvage.loss] if salvage.loss else []
    if not counts:
        raise SetupError(f"no message of {path} can be read: {'; '.join(losses) or 'it is empty'}")
    return RecordedBag(path, topics, counts, tuple(losses), tuple(files), names)


def _files_in(folder: Path) -> list[Path]:
    # rosbag2 numbers the parts of a long bag: name_0, name_1, ..., name_10.
    found = [file for file in folder.glob("*") if file.suffix in _FILES] if folder.is_dir() else []
    return sorted(found, key=lambda file: (len(file.name), file.name))
