"""Reads an SQLite file of rosbag2, message by message in the order of its table, so that a damaged page costs its own.

Neither the index of times nor ``metadata.yaml`` is needed.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fetch_sim2real.bags.raw_message import Losses, RawMessage

# What SQLite keeps beside a database that was not closed: changes to be made, or to be taken back.
_TO_BE_MADE, _TO_BE_TAKEN_BACK = "-wal", "-journal"
_CDR: Final = "cdr"
# What reading a damaged database may raise: what SQLite quotes in its errors need be no UTF-8.
_DAMAGE: Final = (sqlite3.Error, UnicodeDecodeError, MemoryError)
# A database's first bytes: what it is, then among others how large a page is and how many there are.
_MAGIC: Final = b"SQLite format 3\0"
_HEAD_BYTES: Final = 100
_PAGES_AT: Final = 28
# Of a row that does not tell.
_NO_TOPIC: Final = -1
_DAMAGED: Final = "the database is damaged there"


class DatabaseFile:
    """The messages of one file, whose losses go to ``losses`` under the name ``name``."""

    def __init__(self, path: Path, name: str, losses: Losses) -> None:
        self._path, self._name, self._losses = path, name, losses

    def messages(self) -> Iterator[RawMessage]:
        """Return the messages in the order in which they were received."""
        with ExitStack() as stack:
            try:
                database = self._opened(stack)
                topics = _topics(database)
            except _DAMAGE as error:
                self._losses.say(f"{self._name} cannot be read as a database of rosbag2: {error}")
                return
            for row, topic_id, received_ns in self._rows(database):
                topic, type_name, encoding = topics.get(topic_id, (f"topic {topic_id} of {self._name}", "", ""))
                if not encoding:
                    self._losses.leave_out(topic, "the database does not say which that is")
                elif encoding != _CDR:
                    self._losses.leave_out(topic, f"they are encoded as '{encoding}', expected '{_CDR}'")
                elif (data := _data(database, row)) is None:
                    self._losses.leave_out(topic, _DAMAGED)
                else:
                    yield RawMessage(topic, type_name, received_ns, data)

    def _opened(self, stack: ExitStack) -> sqlite3.Connection:
        log, journal = self._beside(_TO_BE_MADE), self._beside(_TO_BE_TAKEN_BACK)
        if log is not None or journal is not None:
            self._losses.say(f"the recorder did not close {self._name}: what it had not committed is missing")
        # What lies beside it may bring the pages that it lacks.
        cut_off = _cut_off(self._path) if log is None and journal is None else None
        if cut_off is not None:
            self._losses.say(f"{self._name} has no end: the last {cut_off.missing_bytes} bytes of it are missing")
        if journal is None and cut_off is None:
            return stack.enter_context(closing(_connected(self._path, "ro")))
        # The bag stays as it is: a copy is changed.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fetch_sim2real_bag_")))
        for path in (self._path, journal):
            if path is not None:
                shutil.copyfile(path, folder / path.name)
        if cut_off is not None:
            cut_off.admit(folder / self._path.name)
        return stack.enter_context(closing(_connected(folder / self._path.name, "rw")))

    def _beside(self, ending: str) -> Path | None:
        path = self._path.with_name(self._path.name + ending)
        return path if path.is_file() and path.stat().st_size else None

    def _rows(self, database: sqlite3.Connection) -> Iterator[tuple[int, int, int]]:
        """Row, topic and time [ns] of each message, by time."""
        rows, topics, times_ns = array("q"), array("q"), array("q")

        def scan(which: str) -> None:
            query = f"SELECT rowid, topic_id, timestamp FROM messages NOT INDEXED {which}"
            for row, topic_id, received_ns in database.execute(query):
                if not isinstance(row, int):
                    raise sqlite3.DatabaseError("its messages have no row numbers")
                is_whole = isinstance(topic_id, int) and isinstance(received_ns, int)
                rows.append(row)
                topics.append(topic_id if is_whole else _NO_TOPIC)
                times_ns.append(received_ns if is_whole else 0)

        try:
            scan("")
        except _DAMAGE as error:
            before = rows[-1] if rows else 0
            # What lies behind the damage is reached from the other end, if that is there.
            with suppress(*_DAMAGE):
                scan(f"WHERE rowid > {before} ORDER BY rowid DESC")
            gap = rows[-1] - before - 1 if rows and rows[-1] > before else None
            missing = "its end is missing" if gap is None else f"about {gap} messages are left out"
            self._losses.say(f"{self._name} is damaged: {error}; {missing}")
        for index in np.lexsort((np.array(rows, np.int64), np.array(times_ns, np.int64))):
            yield rows[index], topics[index], times_ns[index]


@dataclass(frozen=True)
class _CutOff:
    """A database that is shorter than its first page says, as a copy that was broken off: SQLite refuses all of it."""

    pages: int
    page_bytes: int
    missing_bytes: int

    def admit(self, path: Path) -> None:
        """Let the database at ``path`` say how many whole pages it has: then only what needs the others is refused."""
        with path.open("r+b") as stream:
            stream.truncate(self.pages * self.page_bytes)
            stream.seek(_PAGES_AT)
            stream.write(self.pages.to_bytes(4, "big"))


def _cut_off(path: Path) -> _CutOff | None:
    """How the database is cut off, if it is. One that is no database, SQLite refuses itself."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or not head.startswith(_MAGIC):
        return None
    page_bytes = int.from_bytes(head[16:18], "big")
    page_bytes = 65_536 if page_bytes == 1 else page_bytes
    promised, size = int.from_bytes(head[_PAGES_AT : _PAGES_AT + 4], "big") * page_bytes, path.stat().st_size
    if page_bytes < 512 or not page_bytes <= size < promised:
        return None
    return _CutOff(size // page_bytes, page_bytes, promised - size)


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    """A connection that has read the database's schema. One of ``_DAMAGE`` if it cannot."""
    # Without locks, and thus without a file for them beside the database: the folder may be somebody else's.
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}&vfs=unix-none", uri=True)
    try:
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Names in a damaged database may be anything.
        database.text_factory = lambda text: text.decode("utf-8", "replace")
        database.execute("PRAGMA trusted_schema=OFF")
        database.execute("PRAGMA cell_size_check=ON")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _topics(database: sqlite3.Connection) -> dict[int, tuple[str, str, str]]:
    """Name, type and serialization of each topic."""
    rows = database.execute("SELECT id, name, type, serialization_format FROM topics").fetchall()
    return {row[0]: (row[1], row[2], row[3]) for row in rows if all(isinstance(text, str) for text in row[1:])}


def _data(database: sqlite3.Connection, row: int) -> bytes | None:
    """A message's bytes; None if they cannot be read."""
    try:
        found = database.execute("SELECT data FROM messages WHERE rowid = ?", (row,)).fetchone()
    except _DAMAGE:
        return None
    return found[0] if found is not None and isinstance(found[0], bytes) else None
