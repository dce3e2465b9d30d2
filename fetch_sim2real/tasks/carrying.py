"""What carries objects along the table during an episode: a belt, or a curve that is followed.

A carrier says with which velocity an object at a place is carried at a time; the simulation pulls it there with a force
that is limited as friction is (``sim.simulation``), so that a gripper can hold it or push it off. When a belt turns
round is drawn before the episode and told to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Protocol

import numpy as np
from pydantic import Field

from fetch_sim2real.common.ranges import Range
from fetch_sim2real.common.schema import Record
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.types import FloatArray


class Carrier(Protocol):
    """What carries one object of one episode."""

    def velocity_m_s(self, now_s: float, place_m: FloatArray) -> FloatArray | None:
        """Return the velocity (2,) that an object at ``place_m`` (2,) in base_link is carried with; None: it is free.

        ``now_s`` is the time since the episode's first state.
        """
        ...

    def ground_m(self) -> FloatArray:
        """Return a line (k, 2) [m] on the table that what is carried stays near."""
        ...


class CarrierConfig(Protocol):
    """What episodes draw a carrier from."""

    def draw(self, start_m: FloatArray, episode_s: float, rng: np.random.Generator) -> Carrier:
        """Return what carries an object that starts at ``start_m`` (2,)."""
        ...


# -- belt --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Belt:
    """A strip along y with one velocity at a time: ``velocities_m_s`` (k + 1,) between ``turns_s`` (k,), one after each
    turn. What has its centre off the strip is free."""

    x_m: tuple[float, float]
    y_m: tuple[float, float]
    turns_s: FloatArray
    velocities_m_s: FloatArray

    def velocity_m_s(self, now_s: float, place_m: FloatArray) -> FloatArray | None:
        """See Carrier."""
        x, y = place_m
        if not (self.x_m[0] <= x <= self.x_m[1] and self.y_m[0] <= y <= self.y_m[1]):
            return None
        return np.array([0.0, self.velocities_m_s[np.searchsorted(self.turns_s, now_s, side="right")]])

    def ground_m(self) -> FloatArray:
        """See Carrier."""
        middle_m = 0.5 * (self.x_m[0] + self.x_m[1])
        return np.array([[middle_m, self.y_m[0]], [middle_m, self.y_m[1]]])


class BeltConfig(Record):
    """A strip ``x_m`` wide and ``y_m`` long that goes with a speed of ``speed_m_s`` for ``leg_s`` at a time, then the
    other way with another one. It also turns where what it carries would come closer than ``margin_m`` to its ends."""

    x_m: tuple[float, float]
    y_m: tuple[float, float]
    speed_m_s: Range
    leg_s: Range
    margin_m: Annotated[float, Field(ge=0.0)] = 0.08

    def draw(self, start_m: FloatArray, episode_s: float, rng: np.random.Generator) -> Belt:
        """See CarrierConfig."""
        way = 1.0 if rng.random() < 0.5 else -1.0
        now_s, y = 0.0, float(start_m[1])
        turns_s: list[float] = []
        velocities: list[float] = []
        while now_s < episode_s:
            speed, leg_s = self.speed_m_s.draw(rng), self.leg_s.draw(rng)
            room_m = self.y_m[1] - self.margin_m - y if way > 0.0 else y - self.margin_m - self.y_m[0]
            if room_m > 0.0:
                leg_s = min(leg_s, room_m / speed)
                y += way * speed * leg_s
                now_s += leg_s
                velocities.append(way * speed)
                turns_s.append(now_s)
            way = -way
        return Belt(self.x_m, self.y_m, np.array(turns_s[:-1]), np.array(velocities))


# -- curve -------------------------------------------------------------------------------------------------------------


# How what is off its curve is brought back: the velocity [m/s] for each metre, and at most.
_BACK_PER_S, _BACK_M_S = 4.0, 0.10


@dataclass(frozen=True)
class Lissajous:
    """A curve ``centre + half * sin(rate * s + phase)`` per axis (2,), where s is ``rad_s`` times the time.

    What has been pushed off it is brought back.
    """

    centre_m: FloatArray
    half_m: FloatArray
    rate: FloatArray
    phase_rad: FloatArray
    rad_s: float

    def place_m(self, now_s: float) -> FloatArray:
        """Return where the curve is (2,)."""
        place: FloatArray = self.centre_m + self.half_m * np.sin(self.rate * self.rad_s * now_s + self.phase_rad)
        return place

    def velocity_m_s(self, now_s: float, place_m: FloatArray) -> FloatArray | None:
        """See Carrier."""
        rate = self.rate * self.rad_s
        along = self.half_m * rate * np.cos(rate * now_s + self.phase_rad)
        back = _BACK_PER_S * (self.place_m(now_s) - place_m)
        length = float(np.linalg.norm(back))
        velocity: FloatArray = along + back * min(1.0, _BACK_M_S / max(length, 1e-9))
        return velocity

    def ground_m(self) -> FloatArray:
        """See Carrier."""
        return np.array([self.place_m(s / self.rad_s) for s in np.linspace(0.0, 2.0 * np.pi, 25)])


_MOST_TRIES: Final = 1000
_ALL_ROUND: Final = np.linspace(0.0, 2.0 * np.pi, 400, endpoint=False)


class LissajousConfig(Record):
    """Curves with half widths ``half_x_m`` and ``half_y_m`` and one of the ratios of rates x : y, inside ``x_m`` x
    ``y_m``, passed through at a mean speed of ``mean_m_s`` and nowhere faster than ``fastest_m_s``."""

    x_m: tuple[float, float]
    y_m: tuple[float, float]
    half_x_m: Range
    half_y_m: Range
    ratios: Annotated[tuple[tuple[int, int], ...], Field(min_length=1)] = ((1, 1), (1, 2), (2, 1), (2, 3), (3, 2))
    mean_m_s: Annotated[float, Field(gt=0.0)]
    fastest_m_s: Annotated[float, Field(gt=0.0)]

    def draw(self, start_m: FloatArray, episode_s: float, rng: np.random.Generator) -> Lissajous:
        """See CarrierConfig."""
        for _ in range(_MOST_TRIES):
            half_m = np.array([self.half_x_m.draw(rng), self.half_y_m.draw(rng)])
            rate = np.array(self.ratios[int(rng.integers(len(self.ratios)))], dtype=np.float64)
            phase_rad = rng.uniform(0.0, 2.0 * np.pi, 2)
            centre_m = start_m - half_m * np.sin(phase_rad)
            slopes = half_m * rate * np.cos(rate * _ALL_ROUND[:, None] + phase_rad)
            speeds = np.linalg.norm(slopes, axis=1)
            rad_s = self.mean_m_s / float(speeds.mean())
            low, high = centre_m - half_m, centre_m + half_m
            if (
                self.x_m[0] <= low[0]
                and high[0] <= self.x_m[1]
                and self.y_m[0] <= low[1]
                and high[1] <= self.y_m[1]
                and speeds.max() * rad_s <= self.fastest_m_s
            ):
                return Lissajous(centre_m, half_m, rate, phase_rad, rad_s)
        raise FetchSim2RealError(
            f"no curve from {start_m.round(3).tolist()} m fits x_m {self.x_m}, y_m {self.y_m} and fastest_m_s "
            f"{self.fastest_m_s} in {_MOST_TRIES} draws: make half_x_m and half_y_m smaller"
        )
