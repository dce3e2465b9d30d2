"""What a bag's ``metadata.yaml`` says it should hold. The messages are read without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

METADATA_FILE: Final = "metadata.yaml"
_MAX_BYTES: Final = 32 * 2**20
# The fast one where PyYAML was built with it.
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class BagMetadata:
    """Names of a bag's files, and how many messages it should hold by topic; ``loss``: what is wrong with the file."""

    files: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    loss: str = ""


def read_metadata(folder: Path) -> BagMetadata:
    """Of the bag in ``folder``; what is missing or cannot be read is a loss and no error."""
    path = folder / METADATA_FILE
    try:
        with path.open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        content = yaml.load(text, Loader=_Loader)["rosbag2_bagfile_information"]
        if not isinstance(content["relative_file_paths"], list):
            raise TypeError("relative_file_paths is no list")
        return BagMetadata(
            tuple(PurePosixPath(str(name)).name for name in content["relative_file_paths"]),
            {
                str(topic["topic_metadata"]["name"]): int(topic["message_count"])
                for topic in content["topics_with_message_count"]
            },
        )
    except FileNotFoundError:
        return BagMetadata(loss=f"the recorder did not close the bag: it has no {METADATA_FILE}")
    except OSError as error:
        why = error.strerror or str(error)
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError, RecursionError, yaml.YAMLError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
    return BagMetadata(loss=f"{METADATA_FILE} cannot be read, so nobody knows what the bag should hold: {why}")
