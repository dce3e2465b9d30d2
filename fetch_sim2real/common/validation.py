"""What a refusal says of a value that does not fit: one short line, with what was got."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

_SHOWN: Final = 60
# The names of an arm's joints fit in.
NAMES_SHOWN: Final = 300


def shortened(value: object, shown: int = _SHOWN) -> str:
    """Return ``value`` as text that fits a log line, of ``shown`` characters at most."""
    text = one_line(value if isinstance(value, str | PurePath) else repr(value))
    return text if len(text) <= shown else f"{text[:shown]}..."


def one_line(text: object) -> str:
    """Return ``text``, perhaps the words of a library's error, without line breaks."""
    return " ".join(str(text).split())


def escaped(text: str) -> str:
    """Return ``text`` with escapes for what no UTF-8 can say, as in some names of files."""
    return text.encode("utf-8", "backslashreplace").decode()


def is_utf8(text: str) -> bool:
    """Return whether ``text`` can be written in UTF-8; names of files need not be."""
    return escaped(text) == text


def field_of(problem: Mapping[str, Any], whole: str) -> str:
    """Name of the field that one of pydantic's problems is about; ``whole`` if it is about everything."""
    return shortened(".".join(map(str, problem["loc"])) or whole)


def complaint_of(problem: Mapping[str, Any]) -> str:
    """Return what one of pydantic's problems is, with what was got; to stand after the field's name."""
    message = one_line(problem["msg"])
    return message if problem["type"] == "missing" else f"{message}, got {shortened(repr(problem['input']))}"
