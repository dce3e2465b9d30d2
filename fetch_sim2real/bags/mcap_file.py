"""Reads an MCAP file from its beginning as far as it goes. Neither its index nor its end is needed.

A record says how long it is, so that a damaged chunk costs its own messages and no others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from rosbags.rosbag2.storage_mcap import decompress

from fetch_sim2real.bags.raw_message import Losses, RawMessage

MAGIC: Final = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _INDEX = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
_ATTACHMENT, _STATISTICS, _METADATA, _DATA_END = 0x09, 0x0B, 0x0C, 0x0F
_READ: Final = (_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK)
# The format leaves all kinds from 0x80 on to whoever writes a file.
_OF_NO_INTEREST: Final = (_HEADER, _INDEX, _ATTACHMENT, _METADATA, *range(0x80, 0x100))
_RECORD_HEAD: Final = struct.Struct("<BQ")
_MESSAGE_HEAD: Final = struct.Struct("<HIQQ")
_CHUNK_HEAD: Final = struct.Struct("<QQQI")
_LENGTH: Final = struct.Struct("<Q")
_FOOTER_BYTES: Final = _RECORD_HEAD.size + 20 + len(MAGIC)
_CDR: Final = "cdr"


class _DamageError(Exception):
    """Bytes that are not what their place asks for."""


# What taking such bytes apart may raise.
_DAMAGE: Final = (_DamageError, struct.error, UnicodeDecodeError)


class McapFile:
    """The messages of one file, whose losses go to ``losses`` under the name ``name``."""

    def __init__(self, path: Path, name: str, losses: Losses) -> None:
        self._path, self._name, self._losses = path, name, losses
        self._schemas: dict[int, str] = {}
        # Topic, type, and how its messages are serialized.
        self._channels: dict[int, tuple[str, str, str]] = {}
        self._described_at_end: dict[int, tuple[str, str, str]] | None = None
        self._found = 0

    def messages(self) -> Iterator[RawMessage]:
        """Return the messages in the order of the file, within a chunk in the order in which they were received."""
        size = self._path.stat().st_size
        with self._path.open("rb") as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                self._losses.say(f"{self._name} does not begin as an MCAP file: nothing of it is read")
                return
            while True:
                at = stream.tell()
                kind, length = _head(stream)
                if kind == 0 or at + _RECORD_HEAD.size + length > size:
                    self._say_cut_off(size - at)
                    return
                if kind == _DATA_END:
                    self._compare_with_statistics(stream)
                    return
                if kind not in _READ:
                    if kind not in _OF_NO_INTEREST:
                        self._say_damaged(at, length, f"a record of kind {kind:#04x} belongs to no data")
                    stream.seek(length, 1)
                    continue
                try:
                    yield from self._messages_of(kind, stream.read(length))
                except _DAMAGE as error:
                    self._say_damaged(at, length, str(error))

    # -- records ---------------------------------------------------------------------------------------------------

    def _messages_of(self, kind: int, record: bytes) -> Iterator[RawMessage]:
        """Of a record at the top; messages before a chunk's damage are given before that is raised."""
        if kind != _CHUNK:
            yield from self._of_record(kind, record)
            return
        found: list[RawMessage] = []
        try:
            for inner, part in _records(_unpacked(record)):
                found += self._of_record(inner, part)
        finally:
            yield from sorted(found, key=lambda message: message.received_ns)

    def _of_record(self, kind: int, record: bytes) -> list[RawMessage]:
        """The message in a record, if it is one; schemas and channels are remembered."""
        if kind == _MESSAGE:
            channel, _, received_ns, _ = _MESSAGE_HEAD.unpack_from(record)
            self._found += 1
            described = self._channels.get(channel) or self._channels_at_end().get(channel)
            if described is None:
                self._losses.leave_out(f"channel {channel} of {self._name}", "no record says which topic that is")
                return []
            topic, type_name, encoding = described
            if encoding != _CDR:
                self._losses.leave_out(topic, f"they are encoded as '{encoding}', expected '{_CDR}'")
                return []
            return [RawMessage(topic, type_name, received_ns, record[_MESSAGE_HEAD.size :])]
        _describe(kind, record, self._schemas, self._channels)
        return []

    def _channels_at_end(self) -> dict[int, tuple[str, str, str]]:
        """Channels as the end of a whole file repeats them: those of a damaged chunk are found there."""
        if self._described_at_end is None:
            schemas: dict[int, str] = {}
            channels: dict[int, tuple[str, str, str]] = {}
            try:
                for kind, record in _summary(self._path):
                    _describe(kind, record, schemas, channels)
            except (*_DAMAGE, OSError):
                channels = {}
            self._described_at_end = channels
        return self._described_at_end

    # -- what is lost ----------------------------------------------------------------------------------------------

    def _say_damaged(self, at: int, length: int, why: str) -> None:
        self._losses.say(f"{self._name} is damaged at byte {at}, its record of {length} bytes is left out: {why}")

    def _say_cut_off(self, rest: int) -> None:
        text = f"{self._name} has no end: what its recorder had not yet written when it ended is missing"
        if rest:
            text += f", and its last {rest} bytes are part of a record and cannot be read"
        self._losses.say(text)

    def _compare_with_statistics(self, stream: BinaryIO) -> None:
        """Name what a whole file says it holds and does not. ``stream`` is at the head of the data's end."""
        try:
            stream.seek(-_RECORD_HEAD.size, 1)
            promised = next(
                _LENGTH.unpack_from(record)[0] for kind, record in _records(stream.read()) if kind == _STATISTICS
            )
        except (*_DAMAGE, StopIteration):
            return  # An index that is damaged costs no message.
        if promised > self._found:
            self._losses.say(f"{self._name} counts {promised} messages, {self._found} were found in it")


def _head(stream: BinaryIO) -> tuple[int, int]:
    """Kind and length of the next record; kind 0 where none begins."""
    head = stream.read(_RECORD_HEAD.size)
    return _RECORD_HEAD.unpack(head) if len(head) == _RECORD_HEAD.size else (0, 0)


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each record, up to a file's footer. _DamageError where there is none."""
    at = 0
    while at < len(data):
        kind, length = _RECORD_HEAD.unpack_from(data, at)
        at += _RECORD_HEAD.size
        if at + length > len(data):
            raise _DamageError(f"a record of {length} bytes where {len(data) - at} are left")
        if kind == _FOOTER:
            return
        yield kind, data[at : at + length]
        at += length


def _unpacked(chunk: bytes) -> bytes:
    """The records within a chunk."""
    *_, size, checksum = _CHUNK_HEAD.unpack_from(chunk)
    compression, at = _text(chunk, _CHUNK_HEAD.size)
    (length,) = _LENGTH.unpack_from(chunk, at)
    packed = chunk[at + _LENGTH.size :]
    if len(packed) != length:
        raise _DamageError(f"a chunk of {len(packed)} bytes, {length} expected")
    try:
        return decompress(packed, compression, size, checksum)
    except Exception as error:  # rosbags and each of the libraries of compression have kinds of their own
        raise _DamageError(str(error) or type(error).__name__) from error


def _summary(path: Path) -> Iterator[tuple[int, bytes]]:
    """The records between the data's end and the footer of a whole file."""
    with path.open("rb") as stream:
        footer_at = stream.seek(0, 2) - _FOOTER_BYTES
        stream.seek(max(0, footer_at))
        kind, _ = _head(stream)
        (at,) = _LENGTH.unpack(stream.read(_LENGTH.size))
        if kind != _FOOTER or not 0 < at <= footer_at:
            return
        stream.seek(at)
        yield from _records(stream.read(footer_at - at))


def _describe(kind: int, record: bytes, schemas: dict[int, str], channels: dict[int, tuple[str, str, str]]) -> None:
    """Remember the schema or channel in a record, if it is one."""
    if kind == _SCHEMA:
        schemas[struct.unpack_from("<H", record)[0]] = _text(record, 2)[0]
    elif kind == _CHANNEL:
        channel, schema = struct.unpack_from("<HH", record)
        topic, at = _text(record, 4)
        channels[channel] = topic, schemas.get(schema, ""), _text(record, at)[0]


def _text(record: bytes, at: int) -> tuple[str, int]:
    """A text with its length in front, and where it ends."""
    (length,) = struct.unpack_from("<I", record, at)
    end = at + 4 + length
    if end > len(record):
        raise _DamageError(f"a text of {length} bytes where {len(record) - at - 4} are left")
    return record[at + 4 : end].decode(), end
