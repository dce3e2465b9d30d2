"""The camera in time: when frames are taken and come, which are lost or late, and handing them out.

Colour is taken once in a control period, depth a little earlier or later; both are rendered by the engine only when the
picture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.sim.disturbances.conditions import NO_FAULTS, Faults, generator
from fetch_sim2real.sim.engine import Truth
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.sim.randomization.timing import InterruptionSample
from fetch_sim2real.sim.steps import stamp_of_step, steps_of
from fetch_sim2real.timing import JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S, PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.types import FloatArray, RgbdFrame

# A camera that freezes does so for this many frames, at least and at most.
_FREEZE_FRAMES: Final = (3, 10)
# Nine minutes, more than any episode that is evaluated.
_FRAMES: Final = 2**14
# The least time between two publications.
_LEAST_STEPS: Final = JOINT_STATE_EVERY_STEPS


@dataclass(frozen=True)
class FrameTimes:
    """Instants of one episode. A frame's stamp is the instant of its colour.

    Depth is taken ``depth_steps`` after colour, before it if negative, by less than a control period. A frame comes
    ``latency_steps`` after its colour, give or take its entry of ``jitter_steps`` (frames,), which starts anew where it
    is over, and never sooner than ``least_steps`` after it; those in ``lost`` never come.
    """

    first_step: int
    latency_steps: int
    depth_steps: int
    jitter_steps: tuple[int, ...]
    least_steps: int = 0
    lost: frozenset[int] = frozenset()

    def color_step(self, index: int) -> int:
        """Return the physics step at which the frame's colour is taken."""
        return self.first_step + index * PHYSICS_STEPS_PER_PERIOD

    def depth_step(self, index: int) -> int:
        """Return the step at which its depth is taken, never before the episode: the first may be less skewed than
        the others.
        """
        return max(self.first_step, self.color_step(index) + self.depth_steps)

    def publication_step(self, index: int) -> int:
        """Return the step at which it comes, which is not before all of it is taken."""
        late_steps = self.latency_steps + self.jitter_steps[index % len(self.jitter_steps)]
        return self.color_step(index) + max(late_steps, self.depth_steps, self.least_steps)


def frame_times(sample: EpisodeSample, first_step: int, end_step: int, least_steps: int = 0) -> FrameTimes:
    """Return the times of frames of the episode ``sample`` between two physics steps.

    None comes before ``least_steps`` are over.
    """
    frames = (end_step - first_step) // PHYSICS_STEPS_PER_PERIOD + 1
    amplitude, jitter, lost = steps_of(sample.publication_jitter_s), np.zeros(1, np.int64), frozenset[int]()
    if amplitude > 0:
        rng = np.random.default_rng(sample.jitter_seed)
        jitter = rng.integers(-amplitude, amplitude, frames, endpoint=True)
    interruptions = sample.interruptions
    if interruptions.late_share > 0.0 and interruptions.late_s > 0.0:
        jitter = _held_up(np.broadcast_to(jitter, frames), interruptions)
    if interruptions.drop_share > 0.0:
        dropped = np.random.default_rng([interruptions.seed, 2]).random(frames) < interruptions.drop_share
        # The driver's watchdog starts with the first frame.
        lost = frozenset((1 + np.flatnonzero(dropped[1:])).tolist())
    latency_steps = max(0, steps_of(sample.camera_latency_s))
    jitter_steps = tuple(jitter.tolist())
    return FrameTimes(first_step, latency_steps, steps_of(sample.depth_skew_s), jitter_steps, least_steps, lost)


def _held_up(jitter_steps: NDArray[np.int64], interruptions: InterruptionSample) -> NDArray[np.int64]:
    """Return the jitter (frames,) with some frames late, and those behind them after them."""
    count = len(jitter_steps)
    rng = np.random.default_rng([interruptions.seed, 0])
    is_late, late_s = rng.random(count) < interruptions.late_share, rng.uniform(0.0, interruptions.late_s, count)
    # None of the last ones: the jitter starts anew after them, and frames keep their order there too.
    is_late[-(steps_of(interruptions.late_s) // PHYSICS_STEPS_PER_PERIOD + 2) :] = False
    extra = np.where(is_late, np.rint(late_s / PHYSICS_STEP_S), 0.0).astype(np.int64)
    return _in_order(np.arange(count) * PHYSICS_STEPS_PER_PERIOD + jitter_steps + extra) - (
        np.arange(count) * PHYSICS_STEPS_PER_PERIOD
    )


def _in_order(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the steps (frames,) at which frames come that do not overtake each other: one that is late holds up those
    behind it.
    """
    spacing = np.arange(len(steps)) * _LEAST_STEPS
    return np.maximum.accumulate(steps - spacing) + spacing


class FrameFaults:
    """An episode's instants of frames with faults: some come later, some never, some repeat an old picture."""

    def __init__(self, seed: int, faults: Faults, times: FrameTimes, count: int = _FRAMES) -> None:
        """For the first ``count`` frames; those after them have no faults."""
        self._times = times
        self._lost = _lost(seed, faults.drop_share, count)
        self._repeated = _repeated(seed, faults.freeze_share, count)
        self._steps = _late(seed, faults.jitter_ms * 1e-3, times, count) if faults.jitter_ms else None

    def is_lost(self, index: int) -> bool:
        """Return whether frame ``index`` never comes."""
        if index in self._times.lost:
            return True
        return self._lost is not None and index < len(self._lost) and bool(self._lost[index])

    def is_repeated(self, index: int) -> bool:
        """Return whether frame ``index`` shows the picture of the one before."""
        return self._repeated is not None and index < len(self._repeated) and bool(self._repeated[index])

    def next_index(self, index: int) -> int:
        """Return the first frame from ``index`` on that comes."""
        while self.is_lost(index):
            index += 1
        return index

    def publication_step(self, index: int) -> int:
        """Return the step at which frame ``index`` is published, if it is."""
        if self._steps is None or index >= len(self._steps):
            return self._times.publication_step(index)
        return int(self._steps[index])


def _late(seed: int, jitter_s: float, times: FrameTimes, count: int) -> NDArray[np.int64]:
    extra = np.rint(generator(seed, "jitter_ms").uniform(0.0, jitter_s, count) / PHYSICS_STEP_S).astype(np.int64)
    steps = np.array([times.publication_step(index) for index in range(count)]) + extra
    return _in_order(steps)


def _lost(seed: int, share: float, count: int) -> NDArray[np.bool_] | None:
    if not share:
        return None
    lost = generator(seed, "drop_share").random(count) < share
    # The driver's watchdog starts with the first frame.
    lost[0] = False
    return lost


def _repeated(seed: int, share: float, count: int) -> NDArray[np.bool_] | None:
    if not share:
        return None
    rng = generator(seed, "freeze_share")
    least, most = _FREEZE_FRAMES
    # A live frame starts a freeze with this probability, so that in the long run ``share`` of them is frozen.
    start = share / ((1.0 - share) * 0.5 * (least + most))
    repeated = np.zeros(count, np.bool_)
    index = 1
    while index < count:
        length = int(rng.integers(least, most + 1)) if rng.random() < start else 0
        repeated[index : index + length] = True
        index += length + 1
    return repeated


@dataclass(frozen=True)
class Picture:
    """A frame, and what it cost to render [s] and when that began [s, ``time.perf_counter``]."""

    frame: RgbdFrame
    render_s: float
    started_s: float


TakePicture = Callable[[FloatArray, int, FloatArray | None, Sequence[FloatArray]], "Future[Picture]"]
"""Asks for the picture of an engine's configuration with this stamp [ns], its depth that of another one if given, and
with configurations of earlier moments, the oldest first, that the camera's exposure reaches back to.

The order of calls decides the sensor's random pixels."""


@dataclass(frozen=True)
class Captured:
    """A frame that became available: its stamp, the picture (None without a camera), what was true when it was taken,
    its cost and when rendering began [s, ``time.perf_counter``]."""

    stamp_ns: int
    frame: RgbdFrame | None
    truth: Truth
    render_s: float = 0.0
    render_started_s: float = 0.0


class CameraTiming:
    """One episode's camera in time. With ``picture_every`` n only every n-th frame has a picture, without a
    ``take_picture`` none has."""

    def __init__(
        self,
        times: FrameTimes,
        take_picture: TakePicture | None,
        picture_every: int,
        faults: Faults = NO_FAULTS,
        seed: int = 0,
        earlier_moments: int = 0,
    ) -> None:
        """``faults`` of the episode of ``seed`` may change when frames come, and whether. The exposure of a picture
        reaches back over ``earlier_moments`` joint states.
        """
        self._times = times
        self._faults = FrameFaults(seed, faults, times)
        self._take_picture = take_picture
        self._picture_every = picture_every
        self._color_index = self._depth_index = 0
        self.published = self.next_index = 0
        self._in_flight: dict[int, tuple[int, Truth]] = {}
        self._colors: dict[int, FloatArray] = {}
        self._earlier_moments = earlier_moments if take_picture is not None else 0
        self._earlier: dict[int, list[FloatArray]] = {}
        self._depths: dict[int, FloatArray] = {}
        self._pictures: dict[int, Future[Picture]] = {}
        self._last_picture: Future[Picture] | None = None
        self._next_color = times.color_step(0)
        self._next_depth = times.depth_step(0)
        # Colour is always taken at a control period's start; only other instants have to be looked out for.
        self._is_skewed = take_picture is not None and times.depth_steps != 0

    def next_publication_step(self) -> int:
        """Return the step at which the next frame comes."""
        return self._faults.publication_step(self.next_index)

    def stop_before(self, step: int) -> int:
        """Return the next instant of depth, or ``step`` if that comes first."""
        return min(step, self._next_depth) if self._is_skewed else step

    def is_due(self, step: int) -> bool:
        """Return whether something is taken at ``step``."""
        if step == self._next_color or (self._is_skewed and step == self._next_depth):
            return True
        return self._earlier_moments > 0 and self._is_earlier_moment(step)

    def _is_earlier_moment(self, step: int) -> bool:
        """Return whether the next picture's exposure has begun by ``step``, a joint state's."""
        states, rest = divmod(self._next_color - step, JOINT_STATE_EVERY_STEPS)
        return rest == 0 and 0 < states <= self._earlier_moments and self._has_picture(self._color_index)

    def take(self, step: int, configuration: Callable[[], FloatArray], truth: Truth) -> None:
        """Take what is due at ``step`` of the engine's ``configuration``, asked for where a picture is made of it."""
        if self._is_skewed and step == self._next_depth:
            if self._has_picture(self._depth_index):
                self._depths[self._depth_index] = configuration()
                self._ask_if_complete(self._depth_index)
            self._depth_index += 1
            self._next_depth = self._times.depth_step(self._depth_index)
        if self._earlier_moments > 0 and self._is_earlier_moment(step):
            self._earlier.setdefault(self._color_index, []).append(configuration())
        if step == self._next_color:
            index = self._color_index
            if not self._faults.is_lost(index):
                self._in_flight[index] = (step, truth)
                if self._faults.is_repeated(index) and self._last_picture is not None:
                    self._pictures[index] = self._last_picture
            if self._has_picture(index):
                self._colors[index] = configuration()
                self._ask_if_complete(index)
            self._color_index += 1
            self._next_color = self._times.color_step(self._color_index)

    def publish(self) -> Captured:
        """Publish the next frame, once time has come to ``next_publication_step``."""
        step, truth = self._in_flight.pop(self.next_index)
        future = self._pictures.pop(self.next_index, None)
        self.published += 1
        self.next_index = self._faults.next_index(self.next_index + 1)
        stamp_ns = stamp_of_step(step)
        if future is None:
            return Captured(stamp_ns, None, truth)
        picture = future.result()
        # A camera that has frozen gives an old picture a new stamp.
        frame = replace(picture.frame, stamp_ns=stamp_ns)
        return Captured(stamp_ns, frame, truth, picture.render_s, picture.started_s)

    def _has_picture(self, index: int) -> bool:
        if self._take_picture is None or index % self._picture_every != 0:
            return False
        return not (self._faults.is_lost(index) or self._faults.is_repeated(index))

    def _ask_if_complete(self, index: int) -> None:
        """Have the picture made once both halves are taken, in the order of frames."""
        assert self._take_picture is not None
        if not self._is_skewed:
            depth = None
        elif index in self._colors and index in self._depths:
            depth = self._depths.pop(index)
        else:
            return
        stamp_ns = stamp_of_step(self._times.color_step(index))
        earlier = self._earlier.pop(index, [])
        self._last_picture = self._take_picture(self._colors.pop(index), stamp_ns, depth, earlier)
        self._pictures[index] = self._last_picture
