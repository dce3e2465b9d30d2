"""Damages bags as disks, cables and crashes do: seeded, so that each mutant can be had again."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from backports import zstd
from synthetic_bag import Message, write_sqlite

_PAGE_BYTES: Final = 4096


def packed(file: Path) -> Path:
    """The file as rosbag2 compresses one, in its place."""
    target = file.with_name(f"{file.name}.zstd")
    target.write_bytes(zstd.compress(file.read_bytes()))
    file.unlink()
    return target


def write_left_open(folder: Path, content: list[Message], compression: str = "none") -> Path:
    """An SQLite bag whose recorder was killed: most of it is in the write-ahead log still, and there is no metadata."""
    whole = write_sqlite(folder.with_name(f"{folder.name}_whole"), content, compression) / f"{folder.name}_whole.db3"
    folder.mkdir()
    live = folder / "live.db3"
    with sqlite3.connect(live, isolation_level=None) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA wal_autocheckpoint=0")
        database.execute("ATTACH ? AS whole", (str(whole),))
        for (definition,) in database.execute("SELECT sql FROM whole.sqlite_master WHERE sql IS NOT NULL").fetchall():
            database.execute(definition)
        for table in ("topics", "messages"):
            database.execute(f"INSERT INTO {table} SELECT * FROM whole.{table}")
        for ending in ("", "-wal"):
            shutil.copyfile(f"{live}{ending}", folder / f"bag_0.db3{ending}")
    database.close()
    for path in folder.glob("live.db3*"):
        path.unlink()
    return folder


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(0, len(data)))]


def _flip_bits(data: bytearray, rng: np.random.Generator) -> bytearray:
    for at in rng.integers(0, len(data), int(rng.integers(1, 9))):
        data[int(at)] ^= 1 << int(rng.integers(0, 8))
    return data


def _fill(data: bytearray, rng: np.random.Generator) -> bytearray:
    """A page that was never written, or belongs to something else."""
    at = int(rng.integers(0, len(data))) // _PAGE_BYTES * _PAGE_BYTES
    piece = data[at : at + _PAGE_BYTES]
    data[at : at + len(piece)] = bytes(len(piece)) if rng.integers(2) else rng.bytes(len(piece))
    return data


def _remove(data: bytearray, rng: np.random.Generator) -> bytearray:
    at, length = int(rng.integers(0, len(data))), int(rng.integers(1, 2000))
    return data[:at] + data[at + length :]


def _no_end(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Without a footer, or with one of zeros."""
    length = int(rng.integers(1, min(len(data), 400)))
    return data[:-length] + (bytearray(length) if rng.integers(2) else bytearray())


DAMAGES: Final[dict[str, Callable[[bytearray, np.random.Generator], bytearray]]] = {
    "cut": _cut,
    "bits": _flip_bits,
    "page": _fill,
    "removed": _remove,
    "end": _no_end,
}


def damage(path: Path, rng: np.random.Generator) -> str:
    """Damage one file of the bag at ``path``, a file or a folder; what was done, in words."""
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.stat().st_size)
    file = files[int(rng.integers(0, len(files)))]
    kind = sorted(DAMAGES)[int(rng.integers(0, len(DAMAGES)))]
    file.write_bytes(DAMAGES[kind](bytearray(file.read_bytes()), rng))
    return f"{kind} of {file.name}"
