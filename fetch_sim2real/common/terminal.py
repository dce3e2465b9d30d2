"""What the terminal, or the file in its place, can show."""

from __future__ import annotations

import io
import sys


def print_in_any_encoding() -> None:
    """Let what is printed hold characters that this process' output has not: each is written as its number.

    Under ``LANG=C``, with ``PYTHONIOENCODING``, and of files with any names, Python would end with a traceback instead.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
