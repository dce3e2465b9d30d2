"""Files that commands write: their places are tried before the work begins, and what is measured is never lost.

Also what is printed: in any encoding.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from fetch_sim2real.errors import SetupError
from fetch_sim2real.paths import expanded, shared_dir


def print_in_any_encoding() -> None:
    """Let what is printed hold characters that this process' output has not: each is written as its number.

    Under ``LANG=C``, with ``PYTHONIOENCODING``, and of files with any names, Python would end with a traceback instead.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


T = TypeVar("T")

_TEMPORARY: Final = ".fetch_sim2real."
_MODE: Final = 0o644


def require_file_place(path: Path, option: str) -> None:
    """Raise ``SetupError`` unless a file can be written at ``path``, whose folders may be missing yet.

    ``option`` is what the user chose it by.
    """
    try:
        place = expanded(path)
        if place.is_dir():
            raise SetupError(f"{option} {path} is a folder, expected the name of a file: {option} {path / 'NAME'}")
        if not _is_device(place):
            _try_in(place.parent)
    except OSError as error:
        raise _cannot_be_written(path, option, error) from None


def require_folder_place(path: Path, option: str) -> None:
    """Raise ``SetupError`` unless files can be written into the folder ``path``, which may be missing yet."""
    try:
        _try_in(expanded(path))
    except OSError as error:
        raise _cannot_be_written(path, option, error) from None


def require_own_place(path: Path, option: str, flag: str) -> None:
    """Raise ``SetupError`` for a folder among the policies that come with the project.

    ``flag`` lets a user write there all the same.
    """
    try:
        shipped = shared_dir("policies").resolve()
    except SetupError:
        return  # this copy has none
    if expanded(path).resolve().is_relative_to(shipped):
        raise SetupError(
            f"{option} {path} is among the policies that come with the project, in {shipped}: choose another folder, "
            f"or say {flag} to replace what is there"
        )


def require_suffix(path: Path, suffixes: tuple[str, ...], option: str) -> None:
    """Raise ``SetupError`` unless the name ends in one of ``suffixes``, which choose the format."""
    if path.suffix.lower() not in suffixes:
        raise SetupError(f"cannot write {option} {path}; expected a name ending in {' or '.join(suffixes)}")


def write_text(text: str, path: Path) -> None:
    """Write like ``write_bytes``, in UTF-8.

    What no UTF-8 can say, such as some names of files, is written as escapes.
    """
    write_bytes(text.encode("utf-8", "backslashreplace"), path)


def write_bytes(data: bytes, path: Path) -> None:
    """Write a file in one step: a reader sees what was there before, or all of the new. ``SetupError`` if it cannot."""
    path = expanded(path)
    try:
        if _is_device(path):
            with path.open("wb") as stream:
                stream.write(data)
            return
        # A link stays one.
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(temporary, _MODE)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SetupError(
            f"{path} cannot be written ({error.strerror or error}): make room on its disk, or choose another place"
        ) from error


class Attempts:
    """Does what must not cost the result: a failure is one line, and is remembered.

    ``failed``: whether something failed that the user had asked for.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        """``warn`` shows a line to the user."""
        self._warn = warn
        self.failed = False

    def make(self, what: str, action: Callable[[], T], asked: bool) -> T | None:
        """Return what ``action`` returns.

        None if it fails, which is said of ``what``. ``asked``: the user asked for it.
        """
        try:
            return action()
        except Exception as error:  # whatever the libraries that draw and encode may raise
            self._warn(f"{what} could not be made: {' '.join(str(error).split()) or type(error).__name__}")
            self.failed = self.failed or asked
            return None


def _try_in(folder: Path) -> None:
    """Make a file in the folder, or where the folder would be made, and remove it. OSError if that fails."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with tempfile.NamedTemporaryFile(dir=folder, prefix=_TEMPORARY):
        pass


def _is_device(path: Path) -> bool:
    """Whether it is there and is no file: a terminal, a pipe. Nothing may take its place."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _cannot_be_written(path: Path, option: str, error: OSError) -> SetupError:
    return SetupError(
        f"{option} {path} cannot be written ({error.strerror or error}): choose a place where you may write, or change "
        "whose its folder is"
    )


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
