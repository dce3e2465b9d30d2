"""Opens bags of any rosbag2 recorder, whole, cut off or damaged, and reads them as often as needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from backports import zstd
from rosbags.typesys import Stores, get_typestore

from fetch_sim2real import graph
from fetch_sim2real.bags.files import ENDINGS, METADATA_FILE, PACKED, BagMetadata, read_metadata, salvaged
from fetch_sim2real.bags.raw_message import Losses, RawMessage
from fetch_sim2real.errors import SetupError
from fetch_sim2real.paths import expanded


def renames_of(texts: Sequence[str]) -> dict[str, str]:
    """Return the names in the bag by the names of the graph, from texts ``/graph/name:=/bag/name``.

    SetupError for anything else.
    """
    known = {topic.name for topic in graph.RECORDED}
    renamed: dict[str, str] = {}
    for text in texts:
        ours, separator, theirs = text.partition(":=")
        if not separator or not theirs.startswith("/") or ours not in known:
            raise SetupError(f"cannot rename '{text}', expected /name:=/name_in_the_bag with a name of docs/topics.md")
        renamed[ours] = theirs
    return renamed


# Standard messages have the same layout in every ROS 2, so the definitions that a bag carries are not needed.
STORE: Final = get_typestore(Stores.ROS2_JAZZY)
_TYPES: Final = {topic.name: topic.type for topic in graph.RECORDED}
# A message begins with how it is encoded: plain CDR, big or little endian.
_PLAIN_CDR: Final = (b"\x00\x00", b"\x00\x01")
# rosbag2 can compress each message; nothing but metadata.yaml says so, and that may be missing.
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
# What the 32 bit of a ROS time's seconds can tell. A time beyond is damage, or no time since 1970.
_END_OF_TIME_NS: Final = 2**31 * 10**9


class RecordedBag:
    """A bag. Its files are read from their beginning, so that it does not matter whether they were closed.

    ``renamed`` maps names of the graph to those in the bag, where they differ.
    """

    def __init__(self, path: Path, files: list[Path], metadata: BagMetadata, renamed: dict[str, str]) -> None:
        """See ``open_bag``."""
        self.path = path
        self.renamed = renamed
        self._files = files
        self._metadata = metadata
        self._losses = Losses()

    @property
    def promised_messages(self) -> int | None:
        """How many messages the bag says it holds; None where it does not say."""
        return sum(self._metadata.counts.values()) or None

    @property
    def size_bytes(self) -> int:
        """The size of its files."""
        return sum(file.stat().st_size for file in self._files)

    @property
    def losses(self) -> list[str]:
        """What could not be read, in words; complete after ``messages`` has come to its end."""
        return self._losses.texts()

    def messages(self, topics: Collection[str] | None) -> Iterator[RawMessage]:
        """Yield serialized messages of ``topics`` (the graph's names), in the order in which they were received.

        None is for all topics, the graph's and others, of which those that were renamed have the graph's names.

        What is no message of its topic's type is left out, and named in ``losses``. Raises ``SetupError`` where nothing
        can be read.
        """
        self._losses = losses = Losses()
        names = self.renamed if topics is None else topics
        ours = {self.renamed.get(name, name): name for name in names}
        if self._metadata.loss:
            losses.say(self._metadata.loss)
        for file_name in self._missing_files():
            losses.say(f"the bag's file {file_name} is missing")
        found: Counter[str] = Counter()
        for file in self._files:
            for message in salvaged(file, losses):
                found[message.topic] += 1
                name = ours.get(message.topic, message.topic if topics is None else None)
                if name is not None and (checked := _checked(message, name, losses)) is not None:
                    yield checked
        for topic, promised in self._metadata.counts.items():
            if promised > found[topic]:
                losses.say(f"{METADATA_FILE} counts {promised} messages on {topic}, {found[topic]} were found")
        if not found:
            raise SetupError(f"no message of {self.path} can be read: {'; '.join(losses.texts()) or 'it is empty'}")

    def decoded_messages(self, topics: Collection[str]) -> Iterator[tuple[RawMessage, Any]]:
        """Return what ``messages`` does, with what each of them says; those whose bytes say nothing are losses too."""
        for message in self.messages(topics):
            try:
                content = decoded(message)
            except SetupError:
                self._losses.leave_out(message.topic, f"their bytes are no {message.type}")
                continue
            yield message, content

    def _missing_files(self) -> list[str]:
        there = {_unpacked_name(file.name) for file in self._files}
        return [name for name in self._metadata.files if _unpacked_name(name) not in there]


class _UnfitError(Exception):
    """Why a message is left out."""


def _checked(message: RawMessage, name: str, losses: Losses) -> RawMessage | None:
    """The message under the graph's ``name``, decompressed; None, and a loss, if it is none of that topic."""
    try:
        return RawMessage(name, _fit_type(message.type, name), _fit_time(message.received_ns), _fit_data(message.data))
    except _UnfitError as error:
        losses.leave_out(message.topic, str(error))
        return None


def _fit_type(written: str, name: str) -> str:
    """The type in the words of ROS 2; some writers use those of ROS 1 or of DDS."""
    parts = [part for part in written.replace("::", "/").split("/") if part not in ("msg", "dds_")]
    kind = "/msg/".join([parts[0], parts[-1].rstrip("_")]) if len(parts) == 2 else written
    if name in _TYPES and kind != _TYPES[name]:
        raise _UnfitError(f"the bag says it is a {written or 'message of unknown type'}, expected {_TYPES[name]}")
    return kind


def _fit_time(received_ns: int) -> int:
    if not 0 <= received_ns < _END_OF_TIME_NS:
        raise _UnfitError("the recorder's time of them is beyond what a ROS time can be")
    return received_ns


def _fit_data(data: bytes) -> bytes:
    if data.startswith(_ZSTD_MAGIC):
        try:
            data = zstd.decompress(data)
        except (zstd.ZstdError, MemoryError) as error:
            raise _UnfitError("their compression is damaged") from error
    if data[:2] not in _PLAIN_CDR:
        raise _UnfitError("their bytes are no message in plain CDR")
    return data


def decoded(message: RawMessage) -> Any:
    """Return the message itself, with the fields that its type has. SetupError if damaged or of an unknown type."""
    try:
        return STORE.deserialize_cdr(message.data, message.type)
    except Exception as error:  # rosbags raises many kinds for bytes that are no message
        raise SetupError(
            f"a message on {message.topic}, received at {message.received_ns}, is no {message.type}: {error}"
        ) from error


def open_bag(path: Path, renamed: dict[str, str] | None = None) -> RecordedBag:
    """Return the bag at ``path``: its folder, the folder of a run that holds a ``bag``, or one of its files.

    Raises ``SetupError`` if there is none.
    """
    path = expanded(path)
    try:
        if path.is_dir() and not _is_bag(path) and (path / "bag").is_dir():
            path = path / "bag"
        if path.is_dir():
            metadata = read_metadata(path)
            files = _files_in(path, metadata)
        else:
            metadata = BagMetadata()
            files = [path] if path.name.endswith(ENDINGS) and path.is_file() else []
    except OSError as error:
        raise SetupError(f"the bag {path} cannot be opened: {error.strerror or error}") from error
    if not files:
        hint = "; a bag of ROS 1 is converted by `rosbags-convert`" if path.suffix == ".bag" else ""
        raise SetupError(f"{path} holds no bag, expected a folder with .mcap or .db3 files, or one such file{hint}")
    return RecordedBag(path, files, metadata, dict(renamed or {}))


def _is_bag(folder: Path) -> bool:
    return bool(_files_in(folder, BagMetadata())) or (folder / METADATA_FILE).is_file()


def _files_in(folder: Path, metadata: BagMetadata) -> list[Path]:
    """The bag's files in order, each once: one that rosbag2 has unpacked to play it lies beside what it was made of."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.name.endswith(ENDINGS) and (_unpacked_name(file.name) not in found or file.name in metadata.files):
            found[_unpacked_name(file.name)] = file
    # rosbag2 numbers the parts of a long bag: name_0, name_1, ..., name_10.
    return [found[name] for name in sorted(found, key=lambda name: (len(name), name))]


def _unpacked_name(name: str) -> str:
    return name.removesuffix(PACKED)
