"""A rosbag2 bag (MCAP) of the contract's topics, written from serialized messages. No ROS needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from backports import zstd
from rosbags.interfaces import Connection, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.interfaces import Qos as BagQos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.typesys import Stores, get_typestore

from fetch_sim2real.bags.statistics import StampStatistics, statistics_of
from fetch_sim2real.common.raw_header import STAMPED_TYPES, stamp_ns_in
from fetch_sim2real.errors import GraphError
from fetch_sim2real.graph import COLOR, DEPTH, Qos, Topic

FieldDefinitions = Mapping[str, Any]
"""What rosbags makes of message definitions: fields by the name of the type."""
SUMMARY_FILE: Final = "recording.json"
_BAG_VERSION: Final = 9
_NO_TIME: Final = QosTime(0, 0)


class Bag:
    """Writes messages until it is closed; then also their statistics, as ``recording.json`` in the same folder.

    Use as a context manager. Whatever happens, messages handed to ``write`` before the last ``flush`` are in the file;
    a bag that was not closed lacks its index, which ``mcap recover`` restores.
    """

    def __init__(self, path: Path, topics: Sequence[Topic], metadata: Mapping[str, str], compress: bool) -> None:
        """``path`` is a folder that must not exist yet (GraphError); ``metadata`` is kept in the bag's custom data."""
        if path.exists():
            raise GraphError(f"the bag's folder {path} exists already, choose another or remove it")
        self.path = path
        self._metadata = dict(metadata)
        self._writer = Writer(path, version=_BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
        if compress:
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        for key, value in self._metadata.items():
            self._writer.set_custom_data(key, value)
        self._writer.open()
        if compress and isinstance(self._writer.storage, McapWriter):
            # With a checksum of what was compressed: rosbags writes none, and damage would go unnoticed.
            options = {int(zstd.CompressionParameter.checksum_flag): 1}
            self._writer.storage.compressor = partial(zstd.compress, options=options)
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._stamped: set[str] = set()
        self._connections: dict[str, Connection] = {}
        self._statistics: dict[str, StampStatistics] = {}
        for topic in topics:
            self.add(topic)
        self._open = True

    def add(self, topic: Topic, definitions: FieldDefinitions | None = None) -> None:
        """Take a further topic, also while the bag is written.

        ``definitions`` are those of its type and the types in it, where these are none of ROS's own.
        """
        if definitions:
            known = self._types.fielddefs
            self._types.register({name: fields for name, fields in definitions.items() if name not in known})
        self._connections[topic.name] = self._writer.add_connection(
            topic.name, topic.type, typestore=self._types, offered_qos_profiles=[_bag_qos(topic.publish)]
        )
        self._statistics[topic.name] = statistics_of(topic)
        if topic.type in STAMPED_TYPES:
            self._stamped.add(topic.name)

    @property
    def topics(self) -> frozenset[str]:
        """Names of the topics that the bag takes."""
        return frozenset(self._connections)

    def knows(self, type_name: str) -> bool:
        """Return whether messages of this type need no definitions."""
        return type_name in self._types.fielddefs

    def write(self, topic: str, message: bytes, received_ns: int) -> None:
        """Store a serialized message of the topic called ``topic``, received at ``received_ns`` (system time)."""
        self._writer.write(self._connections[topic], received_ns, message)
        self._statistics[topic].note(stamp_ns_in(message) if topic in self._stamped else None)

    def flush(self) -> None:
        """Bring what was written so far into the file, so that it survives this process."""
        storage = self._writer.storage
        if isinstance(storage, McapWriter) and any(storage.chunk.msgs.values()):
            storage.close_chunk()
            storage.bio.flush()

    def close(self) -> dict[str, Any]:
        """Write index, metadata and statistics; returns the statistics. Only the first call does anything."""
        summary = self.summary()
        if self._open:
            self._open = False
            self._writer.close()
            (self.path / SUMMARY_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        return summary

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def summary(self) -> dict[str, Any]:
        """Return the statistics so far, for JSON.

        ``frames_lost``: missing colour or missing depth frames, whichever are more.
        """
        topics = {name: statistics.summary() for name, statistics in self._statistics.items()}
        cameras = [name for name in (COLOR.name, DEPTH.name) if name in topics]
        return {
            "messages": sum(topic["messages"] for topic in topics.values()),
            "frames_lost": max((topics[name]["missing"] for name in cameras), default=0),
            "metadata": self._metadata,
            "topics": topics,
        }


def _bag_qos(qos: Qos) -> BagQos:
    return BagQos(
        history=QosHistory.KEEP_LAST,
        depth=qos.depth,
        reliability=QosReliability[qos.reliability.upper()],
        durability=QosDurability[qos.durability.upper()],
        deadline=_NO_TIME,
        lifespan=_NO_TIME,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_NO_TIME,
        avoid_ros_namespace_conventions=False,
    )
