"""Writes a bag's messages as an SQLite bag of rosbag2 or a bag of ROS 1: all topics, in the order of the bag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

from rosbags.highlevel import AnyReader
from rosbags.highlevel.anyreader import AnyReaderError
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Rosbag2Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from fetch_sim2real.bags.raw_message import RawMessage
from fetch_sim2real.bags.reading import STORE, RecordedBag

# The newest that Humble's and Jazzy's rosbag2 both read.
_BAG_VERSION: Final = 8
_HEADER: Final = "std_msgs/msg/Header"
BagFormat = Literal["sqlite3", "rosbag1"]


def copy_bag(
    bag: RecordedBag, output: Path, kind: BagFormat, left_out: Counter[str], advance: Callable[[], None]
) -> int:
    """Write the messages of ``bag`` to ``output`` and return how many; ``advance`` is called after each.

    ``output`` must not exist: a folder for sqlite3, a file ending in .bag for rosbag1. Stamps and pixels stay bit for
    bit. ``left_out`` counts messages of types that nobody here knows. Raises ``SetupError`` if the bag cannot be read.
    """
    types = _types_of(bag)
    written = 0
    with _Sqlite(output, types) if kind == "sqlite3" else _Rosbag1(output, types) as target:
        for message in bag.messages(None):
            if message.type not in types.fielddefs:
                left_out[f"message on {message.topic} of the unknown type {message.type}"] += 1
            elif target.write(message):
                written += 1
            else:
                left_out[f"message on {message.topic} whose bytes are no {message.type}"] += 1
            advance()
    return written


def _types_of(bag: RecordedBag) -> Typestore:
    """The types of ROS 2, and those whose definitions the bag carries, as far as it is whole."""
    types = get_typestore(Stores.EMPTY)
    types.register(STORE.fielddefs)
    try:
        with AnyReader([bag.path]) as reader:
            theirs = reader.typestore.fielddefs
            types.register({name: fields for name, fields in theirs.items() if name not in types.fielddefs})
    except (AnyReaderError, AssertionError, ValueError, KeyError, OSError):
        pass  # a damaged bag: its standard messages can be read all the same
    return types


class _Target:
    """A bag that is written; its messages are those of ``types``, told of as ``written_as``."""

    def __init__(self, writer: Rosbag1Writer | Rosbag2Writer, written_as: Typestore) -> None:
        self._writer: Any = writer
        self._written_as = written_as
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> _Target:
        self._writer.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, message: RawMessage) -> bool:
        """Write a message; False if its bytes are none of its type."""
        data = self._data(message)
        if data is None:
            return False
        connection = self._connections.get(message.topic)
        if connection is None:
            connection = self._writer.add_connection(message.topic, message.type, typestore=self._written_as)
            self._connections[message.topic] = connection
        self._writer.write(connection, message.received_ns, data)
        return True

    def _data(self, message: RawMessage) -> memoryview | bytes | None:
        """The bytes to write; None if they are none of the message's type."""
        return message.data


class _Sqlite(_Target):
    """A bag of rosbag2, its messages as they are."""

    def __init__(self, output: Path, types: Typestore) -> None:
        super().__init__(Rosbag2Writer(output, version=_BAG_VERSION, storage_plugin=StoragePlugin.SQLITE3), types)


class _Rosbag1(_Target):
    """A bag of ROS 1, whose headers have a sequence number that is 0 here."""

    def __init__(self, output: Path, types: Typestore) -> None:
        # Definitions as ROS 1 has them: but for the header they are those of ROS 2.
        written_as = get_typestore(Stores.EMPTY)
        header = get_typestore(Stores.ROS1_NOETIC).fielddefs[_HEADER]
        written_as.register({**types.fielddefs, _HEADER: header})
        super().__init__(Rosbag1Writer(output), written_as)
        self._types = types

    def _data(self, message: RawMessage) -> memoryview | bytes | None:
        try:
            return self._types.cdr_to_ros1(message.data, message.type)
        except Exception:  # rosbags raises many kinds for bytes that are no message
            return None
