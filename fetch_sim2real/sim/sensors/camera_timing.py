"""The camera in time: takes colour, and depth a little earlier or later, and hands frames out when they come."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from fetch_sim2real.sim.disturbances.conditions import NO_FAULTS, Faults
from fetch_sim2real.sim.disturbances.faults import FrameFaults
from fetch_sim2real.sim.engine import Truth
from fetch_sim2real.sim.sensors.frame_times import FrameTimes
from fetch_sim2real.sim.steps import stamp_of_step
from fetch_sim2real.types import FloatArray, RgbdFrame


@dataclass(frozen=True)
class Picture:
    """A frame, and what it cost to render [s] and when that began [s, ``time.perf_counter``]."""

    frame: RgbdFrame
    render_s: float
    started_s: float


TakePicture = Callable[[FloatArray, int, FloatArray | None], "Future[Picture]"]
"""Asks for the picture of an engine's configuration with this stamp [ns], its depth that of another one if given.

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


class Shutter:
    """One episode's camera in time. With ``picture_every`` n only every n-th frame has a picture, without a
    ``take_picture`` none has."""

    def __init__(
        self,
        times: FrameTimes,
        take_picture: TakePicture | None,
        picture_every: int,
        faults: Faults = NO_FAULTS,
        seed: int = 0,
    ) -> None:
        """``faults`` of the episode of ``seed`` may change when frames come, and whether."""
        self._times = times
        self._faults = FrameFaults(seed, faults, times)
        self._take_picture = take_picture
        self._picture_every = picture_every
        self._color_index = self._depth_index = 0
        self.published = self.next_index = 0
        self._in_flight: dict[int, tuple[int, Truth]] = {}
        self._colors: dict[int, FloatArray] = {}
        self._depths: dict[int, FloatArray] = {}
        self._pictures: dict[int, Future[Picture]] = {}
        self._last_picture: Future[Picture] | None = None
        self._next_color = times.color_step(0)
        self._next_depth = times.depth_step(0)
        # Colour is always taken at a control period's start; only other instants have to be looked out for.
        self._is_skewed = take_picture is not None and times.depth_steps != 0

    def next_publication_step(self) -> int:
        """When the next frame comes."""
        return self._faults.publication_step(self.next_index)

    def stop_before(self, step: int) -> int:
        """The next instant of depth, or ``step`` if that comes first."""
        return min(step, self._next_depth) if self._is_skewed else step

    def is_due(self, step: int) -> bool:
        """Whether something is taken at ``step``."""
        return step == self._next_color or (self._is_skewed and step == self._next_depth)

    def take(self, step: int, configuration: Callable[[], FloatArray], truth: Truth) -> None:
        """Take what is due at ``step`` of the engine's ``configuration``, asked for where a picture is made of it."""
        if self._is_skewed and step == self._next_depth:
            if self._has_picture(self._depth_index):
                self._depths[self._depth_index] = configuration()
                self._ask_if_complete(self._depth_index)
            self._depth_index += 1
            self._next_depth = self._times.depth_step(self._depth_index)
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
        """The next frame, once time has come to ``next_publication_step``."""
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
        self._last_picture = self._take_picture(self._colors.pop(index), stamp_ns, depth)
        self._pictures[index] = self._last_picture
