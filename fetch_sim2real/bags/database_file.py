"""Reads an SQLite file of rosbag2, message by message in the order of its table, so that a damaged page costs its own.

Neither the index of times nor ``metadata.yaml`` is needed.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import numpy as np

from fetch_sim2real.bags.losses import Losses
from fetch_sim2real.bags.raw_message import RawMessage

# What SQLite keeps beside a database that was not closed: changes to be made, or to be taken back.
_TO_BE_MADE, _TO_BE_TAKEN_BACK = "-wal", "-journal"
_CDR: Final = "cdr"
_DAMAGED: Final = "the database is damaged there"


class DatabaseFile:
    """The messages of one file, whose losses go to ``losses`` under the name ``name``."""

    def __init__(self, path: Path, name: str, losses: Losses) -> None:
        self._path, self._name, self._losses = path, name, losses

    def messages(self) -> Iterator[RawMessage]:
        """In the order in which they were received."""
        with ExitStack() as stack:
            try:
                database = self._opened(stack)
                topics = _topics(database)
            except sqlite3.Error as error:
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
        journal = self._beside(_TO_BE_TAKEN_BACK)
        if journal is not None or self._beside(_TO_BE_MADE) is not None:
            self._losses.say(f"the recorder did not close {self._name}: what it had not committed is missing")
        if journal is None:
            return stack.enter_context(closing(_connected(self._path, "ro")))
        # The bag stays as it is: a copy is changed.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fetch_sim2real_bag_")))
        for path in (self._path, journal):
            shutil.copyfile(path, folder / path.name)
        return stack.enter_context(closing(_connected(folder / self._path.name, "rw")))

    def _beside(self, ending: str) -> Path | None:
        path = self._path.with_name(self._path.name + ending)
        return path if path.is_file() and path.stat().st_size else None

    def _rows(self, database: sqlite3.Connection) -> Iterator[tuple[int, int, int]]:
        """Row, topic and time [ns] of each message, by time."""
        rows, topics, times_ns = array("q"), array("q"), array("q")
        query = "SELECT rowid, topic_id, timestamp FROM messages NOT INDEXED"
        try:
            for row, topic_id, received_ns in database.execute(query):
                if isinstance(topic_id, int) and isinstance(received_ns, int):
                    rows.append(row)
                    topics.append(topic_id)
                    times_ns.append(received_ns)
                else:
                    self._losses.leave_out(f"a topic of {self._name}", _DAMAGED)
        except sqlite3.Error as error:
            self._losses.say(f"{self._name} is damaged: {error}; {_missing(database, rows)} messages are left out")
        for index in np.lexsort((np.array(rows, np.int64), np.array(times_ns, np.int64))):
            yield rows[index], topics[index], times_ns[index]


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    """A connection that has read the database's schema. sqlite3.Error if it cannot."""
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
    except (sqlite3.Error, MemoryError):
        return None
    return found[0] if found is not None and isinstance(found[0], bytes) else None


def _missing(database: sqlite3.Connection, rows: array[int]) -> str:
    """How many messages come after the last of ``rows``, as far as the table's other end tells."""
    try:
        (last,) = database.execute("SELECT max(rowid) FROM messages").fetchone()
        return str(last - rows[-1]) if rows else str(last)
    except (sqlite3.Error, TypeError):
        return "an unknown number of"
