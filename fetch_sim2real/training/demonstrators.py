"""Scripted demonstrators: simple closed-loop rules on positions, for a batch of states.

They are told what the actor is told (``seen``) and imitated (``actor_critic``). All are functions of one moment's
positions, so they work for hindsight goals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import torch

from fetch_sim2real.control.action import ACTION_SCALE_M

# Share of the remaining way that is gone in a period: with delays of three periods more would overshoot.
_GAIN: Final = 0.15
_CLOSED: Final = -1.0
_OPEN: Final = 1.0


class Situation(NamedTuple):
    """Positions in base_link [m]: gripper, object, goal (B, 3) each, the latter in the task's goal frame; fingers (B,);
    and the motion (B, 3) of the gripper that is commanded already and not seen yet."""

    grip_m: torch.Tensor
    object_m: torch.Tensor
    goal_m: torch.Tensor
    finger_m: torch.Tensor
    coming_m: torch.Tensor


Demonstrator = Callable[[Situation], torch.Tensor]
"""Situation -> action (B, 4) in [-1, 1]."""


def reach(now: Situation) -> torch.Tensor:
    """Straight to a place in base_link."""
    return _move(now.goal_m - now.grip_m, _CLOSED)


def reach_block(now: Situation) -> torch.Tensor:
    """Straight to a place given relative to the object."""
    return _move(now.object_m + now.goal_m - now.grip_m, _CLOSED)


_BEHIND_M: Final = 0.065  # from the object's centre to where the closed gripper comes down behind it
_CLEAR_M: Final = 0.085  # how far above its centre the gripper passes over the object
_LOW_M: Final = 0.012  # height of the pushing gripper above the object's centre
# Never aims below this: lower down the safety filter takes from its motion.
_LOWEST_M: Final = 0.757
_PUSH_GAIN: Final = 0.2
# Slow enough that what is seen a tenth of a second late does not make the object overshoot its goal.
_PUSH_STEP_M: Final = 0.028
# Out of contact with the object from here on; how far it steps back at once until it is.
_TOUCHING_M: Final = (0.045, 0.065)
_BACK_M: Final = 0.08
# What is left of the upward motion in contact: rising against the object throws it.
_RISE_SHARE: Final = 0.1
_CONTACT_M: Final = 0.045  # along the push, between the centres of gripper and object


def _soon(now: Situation) -> Situation:
    """What will be once the motion on its way is made: the gripper elsewhere, and an object that it pushes too."""
    direction = torch.nn.functional.normalize((now.goal_m - now.object_m)[:, :2], dim=-1)
    offset = (now.grip_m - now.object_m)[:, :2]
    along = (offset * direction).sum(-1, keepdim=True)
    out_m = _length(offset - along * direction)
    low = _falls(now.grip_m[:, 2:] - now.goal_m[:, 2:], 0.030, 0.045)
    pushes = low * _rises(-along, 0.020, 0.030) * _falls(out_m, 0.025, 0.040)
    ahead = (now.coming_m[:, :2] * direction).sum(-1, keepdim=True)
    pushed_m = pushes * (along + ahead - along.clamp(min=-_CONTACT_M)).clamp(min=0.0)
    pushed = torch.nn.functional.pad(pushed_m * direction, (0, 1))
    return now._replace(grip_m=now.grip_m + now.coming_m, object_m=now.object_m + pushed)


def push(now: Situation) -> torch.Tensor:
    """Go over the object to the side away from the goal, come down, push, and leave it when it is there.

    One phase blends into the next, so that an actor with errors of a centimetre does not waver between two of them.
    """
    now = _soon(now)
    way = (now.goal_m - now.object_m)[:, :2]
    left_m = _length(way)
    direction = way / left_m.clamp(min=1e-6)
    offset = (now.grip_m - now.object_m)[:, :2]
    along = (offset * direction).sum(-1, keepdim=True)
    across = offset - along * direction
    # The object lies on the table, as its goal does, and the goal's height is known where the object's is only seen.
    height_m = now.goal_m[:, 2:]
    above_object = now.grip_m[:, 2:] - height_m
    # Once down behind the object, the gripper stays down unless it is clearly out of line.
    down = _falls(above_object, 0.030, 0.045)
    behind = _rises(-along + 0.015 * down, 0.028, 0.040)
    out_m = _length(across) - 0.012 * down
    in_line = behind * _falls(out_m, 0.012, 0.035)
    over_line = behind * _falls(out_m, 0.020, 0.045)
    low = (height_m + _LOW_M).clamp(min=_LOWEST_M)
    height = low + (_CLEAR_M - _LOW_M) * (1.0 - over_line)
    # Pushing: ahead by what is left of the way, and back onto the line if the object slips to a side.
    ahead = direction * left_m.clamp(max=_PUSH_STEP_M) - across
    pushing = in_line * _falls(above_object, 0.025, 0.050)
    # Approaching: to a place behind the object; up first where the way there would run into it.
    to_behind = -direction * _BEHIND_M - offset
    free = torch.maximum(_rises(above_object, 0.035, 0.050), _rises(_length(offset), 0.065, 0.085))
    approaching = torch.maximum(free, in_line)
    distance_m = _length(offset)
    touching = _falls(distance_m, *_TOUCHING_M) * _falls(above_object, 0.035, 0.050)
    back = offset / distance_m.clamp(min=1e-6) * (_BACK_M * touching)
    sideways = pushing * ahead + (1.0 - pushing) * (approaching * to_behind + (1.0 - approaching) * back)
    rise = height - now.grip_m[:, 2:]
    rise = torch.where(rise > 0.0, rise * (1.0 - (1.0 - _RISE_SHARE) * touching), rise)
    step = torch.cat([sideways, rise], dim=-1)
    # There, or nearly: stay, lest correcting a centimetre takes the object away again.
    return _move(step * _rises(left_m, 0.016, 0.034), _CLOSED, _PUSH_GAIN)


# Fingers that have closed this far have the object between them.
_HOLDING_M: Final = 0.034
# An object that is held may be seen this far from the grip site, and is taken to be within the second of it.
_HELD_WITHIN_M: Final = (0.090, 0.120)
_IN_HAND_M: Final = 0.02
_ABOVE_M: Final = 0.07
_PICK_GAIN: Final = 0.12


def pick_and_place(now: Situation) -> torch.Tensor:
    """Over the object with open fingers, down, close, carry to the goal and hold there."""
    to_object = now.object_m - now.grip_m
    sideways_m, below_m = _length(to_object[:, :2]), to_object[:, 2:].abs()
    aligned = _falls(sideways_m, 0.010, 0.025)
    # Fingers that have stopped on something near the object hold it, whatever the positions say in detail: between the
    # fingers little of it is seen, and by as much as a hand's height elsewhere.
    finger_m = now.finger_m[:, None]
    stopped = _falls(finger_m, _HOLDING_M, _HOLDING_M + 0.005) * _rises(finger_m, 0.014, 0.018)
    distance_m = _length(to_object)
    held = stopped * _falls(distance_m, *_HELD_WITHIN_M)
    in_hand_m = now.grip_m + to_object * (_IN_HAND_M / distance_m.clamp(min=_IN_HAND_M))
    there = torch.maximum(held, _falls(sideways_m, 0.014, 0.022) * _falls(below_m, 0.022, 0.034))
    lift = torch.zeros_like(to_object)
    lift[:, 2:] = _ABOVE_M * (1.0 - aligned)
    way = now.goal_m - in_hand_m
    # Along the table the object is lifted first.
    carrying = way.clone()
    far = _rises(_length(way[:, :2]), 0.02, 0.04)
    carrying[:, 2:] = torch.maximum(way[:, 2:], 0.02 * far + way[:, 2:] * (1.0 - far))
    step = held * carrying + (1.0 - held) * (1.0 - there) * (to_object + lift)
    finger = _OPEN + (_CLOSED - _OPEN) * there
    return torch.cat([(step * (_PICK_GAIN / ACTION_SCALE_M)).clamp(-1.0, 1.0), finger], dim=-1)


def _length(vector: torch.Tensor) -> torch.Tensor:
    return vector.norm(dim=-1, keepdim=True)


def _rises(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to ``low``, 1 from ``high`` on, straight between."""
    return ((value - low) / (high - low)).clamp(0.0, 1.0)


def _falls(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """1 up to ``low``, 0 from ``high`` on, straight between."""
    return 1.0 - _rises(value, low, high)


def _move(step_m: torch.Tensor, finger: float, gain: float = _GAIN) -> torch.Tensor:
    action = (step_m * (gain / ACTION_SCALE_M)).clamp(-1.0, 1.0)
    return torch.nn.functional.pad(action, (0, 1), value=finger)
