"""Reads small YAML files of people's making, whatever they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from fetch_sim2real.common.validation import one_line

# None of them comes near; a file that does is of another kind, and may take minutes.
_MAX_BYTES: Final = 2**18
# libyaml's reader is ten times faster, where PyYAML was built with it.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlFileError(ValueError):
    """A file that cannot be read as YAML, in one line; to be raised again as an error of the caller's."""


def is_file(path: Path) -> bool:
    """Return whether ``path`` is a file; False also for what is no path at all."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a null character
        return False


def read_yaml(path: Path) -> list[Any]:
    """Return the documents that are in ``path``, without empty ones.

    Raises:
        YamlFileError: it cannot be read, is too large, or is not YAML.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise YamlFileError(f"is larger than {_MAX_BYTES} bytes: not a file of the kind expected")
        documents = list(yaml.load_all(data.decode("utf-8"), Loader=_LOADER))
    except OSError as error:
        raise YamlFileError(f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise YamlFileError(f"is not text in UTF-8: {error}") from None
    # Dates, numbers and nesting that cannot be raise errors of Python's own.
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, YamlFileError):
            raise
        raise YamlFileError(f"is not YAML: {one_line(error)}") from None
    return [document for document in documents if document is not None]
