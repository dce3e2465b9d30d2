"""A folder that comes into being whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fetch_sim2real.errors import SetupError
from fetch_sim2real.paths import expanded


def require_new_folder(path: Path, option: str) -> None:
    """Raise ``SetupError`` if there is something at ``path``, which the user chose by ``option``."""
    if os.path.lexists(expanded(path)):
        raise SetupError(f"{option} {path} exists already, expected a new folder: choose another name, or remove it")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to make and fill, in a hidden one beside ``path``; at the end it becomes ``path``.

    What was written is removed if something goes wrong inside. Only a killed process leaves the hidden folder behind.
    Raises ``SetupError`` if it cannot be made, or if ``path`` has come into being meanwhile.
    """
    place = expanded(path).absolute()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    except OSError as error:
        raise SetupError(
            f"the folder {path} cannot be made ({error.strerror or error}): choose a place where you may write"
        ) from error
    try:
        yield hidden / place.name
        require_new_folder(path, "the folder")
        (hidden / place.name).rename(place)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
