"""Reads files of a bag from their beginning as far as they go, with no index, no footer and no ``metadata.yaml``."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rosbags.rosbag2.errors import ReaderError
from rosbags.rosbag2.storage_mcap import decompress

MCAP_MAGIC: Final = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
_RECORD_HEAD: Final = struct.Struct("<BQ")
_MESSAGE_HEAD: Final = struct.Struct("<HIQQ")
_CHUNK_HEAD: Final = struct.Struct("<QQQI")


@dataclass(frozen=True)
class RawMessage:
    """A serialized message (CDR) of ``topic``, received at ``received_ns`` (the recorder's clock)."""

    topic: str
    type: str
    received_ns: int
    data: bytes


class Salvage:
    """The messages of one file. ``loss`` says what could not be read, once ``messages`` has come to its end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.loss = ""

    def messages(self) -> Iterator[RawMessage]:
        """In the order of the file; within a chunk in the order in which they were received."""
        self.loss = ""
        return self._database() if self._file.suffix == ".db3" else self._mcap()

    def _mcap(self) -> Iterator[RawMessage]:
        names: dict[int, str] = {}
        channels: dict[int, tuple[str, str]] = {}
        size = self._file.stat().st_size
        with self._file.open("rb") as stream:
            if stream.read(len(MCAP_MAGIC)) != MCAP_MAGIC:
                self.loss = f"{self._file.name} does not begin as an MCAP file: nothing of it is read"
                return
            while True:
                at = stream.tell()
                head = stream.read(_RECORD_HEAD.size)
                kind, length = _RECORD_HEAD.unpack(head) if len(head) == _RECORD_HEAD.size else (0, 0)
                if kind == _DATA_END:
                    return
                if kind == 0 or at + _RECORD_HEAD.size + length > size:
                    self.loss = (
                        f"{self._file.name} has no end: what its recorder had not yet written when it ended is missing"
                    )
                    if size > at:
                        self.loss += f", and its last {size - at} bytes are part of a record and cannot be read"
                    return
                record = stream.read(length)
                if kind != _CHUNK:
                    yield from _of_record(kind, record, names, channels)
                    continue
                try:
                    inner = _unpacked(record)
                except (ReaderError, ValueError, struct.error) as error:
                    self.loss = f"{self._file.name} is damaged at byte {at}: {error}; what follows is left out"
                    return
                found = [m for k, part in _records(inner) for m in _of_record(k, part, names, channels)]
                yield from sorted(found, key=lambda message: message.received_ns)

    def _database(self) -> Iterator[RawMessage]:
        try:
            database = sqlite3.connect(f"file:{self._file.absolute()}?mode=ro", uri=True)
        except sqlite3.Error as error:
            self.loss = f"{self._file.name} cannot be opened: {error}"
            return
        try:
            query = "SELECT name, type, timestamp, data FROM messages JOIN topics ON topics.id = topic_id ORDER BY "
            for name, kind, received_ns, data in database.execute(query + "timestamp"):
                yield RawMessage(name, kind, received_ns, data)
        except sqlite3.Error as error:
            self.loss = f"{self._file.name} is damaged: {error}; what follows is left out"
        finally:
            database.close()


def _unpacked(chunk: bytes) -> bytes:
    """The records within a chunk."""
    *_, size, checksum = _CHUNK_HEAD.unpack_from(chunk)[1:]
    compression, at = _text(chunk, _CHUNK_HEAD.size)
    return decompress(chunk[at + 8 :], compression, size, checksum)


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _RECORD_HEAD.size <= len(data):
        kind, length = _RECORD_HEAD.unpack_from(data, at)
        at += _RECORD_HEAD.size
        yield kind, data[at : at + length]
        at += length


def _of_record(
    kind: int, record: bytes, names: dict[int, str], channels: dict[int, tuple[str, str]]
) -> Iterator[RawMessage]:
    """The message in a record, if it is one; schemas and channels are remembered."""
    if kind == _SCHEMA:
        names[struct.unpack_from("<H", record)[0]] = _text(record, 2)[0]
    elif kind == _CHANNEL:
        channel, schema = struct.unpack_from("<HH", record)
        channels[channel] = _text(record, 4)[0], names.get(schema, "")
    elif kind == _MESSAGE:
        channel, _, received_ns, _ = _MESSAGE_HEAD.unpack_from(record)
        if channel in channels:
            yield RawMessage(*channels[channel], received_ns, record[_MESSAGE_HEAD.size :])


def _text(record: bytes, at: int) -> tuple[str, int]:
    """A text with its length in front, and where it ends."""
    (length,) = struct.unpack_from("<I", record, at)
    return record[at + 4 : at + 4 + length].decode(), at + 4 + length
