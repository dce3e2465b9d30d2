"""Joins episodes with their frames: all that is known of each control period, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Final, Protocol

from fetch_sim2real.bags.export.episodes import Episode, Period
from fetch_sim2real.bags.frames import whole_frames
from fetch_sim2real.bags.reading import RecordedBag, decoded
from fetch_sim2real.bags.run import RecordedRun
from fetch_sim2real.errors import ObservationError, SetupError
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.policy.synchronization import JointHistory
from fetch_sim2real.types import JointSample, RgbdFrame

_NO_JOINTS: Final = "frame without a joint state near it"
_DAMAGED: Final = "frame whose pictures cannot be read"
_NO_FRAME: Final = "command whose frame is not in the bag"


@dataclass(frozen=True)
class Step:
    """One control period of ``episode``: what the camera saw, the measured joints nearest to it, and the command."""

    episode: Episode
    period: Period
    frame: RgbdFrame
    camera: CameraModel
    joints: JointSample


class StepWriter(Protocol):
    """Writes steps in some format: for each episode ``begin``, ``add`` for each step, ``end``; last ``close``."""

    def begin(self, bag: str, episode: Episode) -> None:
        """Begin the next episode, of the bag called ``bag``; at least one step follows."""

    def add(self, step: Step) -> None:
        """Write the next step of the episode."""

    def end(self) -> None:
        """Complete the episode."""

    def close(self) -> None:
        """Complete everything; nothing follows."""


def write_steps(writer: StepWriter, bag: str, steps: Iterator[Step], advance: Callable[[], None]) -> tuple[int, int]:
    """Write the ``steps`` of the bag called ``bag``; return how many episodes and steps there were.

    ``advance`` is called after each step. ``writer`` is not closed: another bag may follow.
    """
    episodes = count = 0
    for _, group in groupby(steps, key=lambda step: id(step.episode)):
        first = next(group)
        writer.begin(bag, first.episode)
        for step in chain((first,), group):
            writer.add(step)
            advance()
            count += 1
        writer.end()
        episodes += 1
    return episodes, count


def read_steps(
    bag: RecordedBag, run: RecordedRun, episodes: Sequence[Episode], left_out: Counter[str]
) -> Iterator[Step]:
    """Yield the steps of ``episodes``, which were found in ``run``, in the order of the frames in ``bag``.

    ``left_out`` counts, by reason, the periods that lack something. Raises ``SetupError`` if the bag cannot be read.
    """
    waiting = {period.stamp_ns: (episode, period) for episode in episodes for period in episode.periods}
    history, next_joints = JointHistory(), iter(run.joints)
    # What makes no frame was no period of an episode, or is counted as one without its frame.
    for messages, _ in whole_frames(bag, Counter()):
        found = waiting.pop(messages.stamp_ns, None)
        while history.newest_ns < messages.stamp_ns and (sample := next(next_joints, None)) is not None:
            history.add(sample)
        if found is None:
            continue
        joints = history.at(messages.stamp_ns)
        if joints is None:
            left_out[_NO_JOINTS] += 1
            continue
        try:
            color, depth = decode_color(decoded(messages.color)), decode_depth(decoded(messages.depth))
            camera = decode_camera_info(decoded(messages.info))
        except (ObservationError, SetupError):
            left_out[_DAMAGED] += 1
            continue
        yield Step(*found, RgbdFrame(messages.stamp_ns, color, depth), camera, joints)
    if waiting:
        left_out[_NO_FRAME] += len(waiting)
