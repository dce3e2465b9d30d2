"""Scripted demonstrators: simple closed-loop rules on the *true* positions, for a batch of states.

They see what no actor sees, so they can be imitated but not deployed, and they are imitated only where the critics
prefer their action (``actor_critic``). All are functions of the present state alone, so they work for hindsight goals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import torch

ACTION_SCALE_M: Final = 0.02
# Share of the remaining way that is gone in a period: with delays of three periods more would overshoot.
_GAIN: Final = 0.15
_CLOSED: Final = -1.0
_OPEN: Final = 1.0


class Situation(NamedTuple):
    """True positions in base_link [m]: gripper, object, goal (B, 3) each, in the task's goal frame; fingers (B,)."""

    grip_m: torch.Tensor
    object_m: torch.Tensor
    goal_m: torch.Tensor
    finger_m: torch.Tensor


Demonstrator = Callable[[Situation], torch.Tensor]
"""Situation -> action (B, 4) in [-1, 1]."""


def reach(now: Situation) -> torch.Tensor:
    """Straight to a place in base_link."""
    return _move(now.goal_m - now.grip_m, _CLOSED)


def reach_block(now: Situation) -> torch.Tensor:
    """Straight to a place given relative to the object."""
    return _move(now.object_m + now.goal_m - now.grip_m, _CLOSED)


_BEHIND_M: Final = 0.065  # from the object's centre to where the closed gripper comes down behind it
_CLEAR_M: Final = 0.06  # how far above its centre the gripper passes over the object
_LOW_M: Final = 0.012  # height of the pushing gripper above the object's centre
# Never aims below this: at the bottom of its workspace the safety filter holds the whole arm back.
_LOWEST_M: Final = 0.757


def push(now: Situation) -> torch.Tensor:
    """Go over the object to the side away from the goal, come down, push, and leave it when it is there."""
    way = (now.goal_m - now.object_m)[:, :2]
    left_m = way.norm(dim=-1, keepdim=True)
    direction = way / left_m.clamp(min=1e-6)
    offset = (now.grip_m - now.object_m)[:, :2]
    along = (offset * direction).sum(-1, keepdim=True)
    across = offset - along * direction
    behind = (along < -0.035) & (across.norm(dim=-1, keepdim=True) < 0.025)
    low = (now.object_m[:, 2:] + _LOW_M).clamp(min=_LOWEST_M)
    # Pushing: ahead by what is left of the way, and back onto the line if the object slips to a side.
    ahead = direction * (left_m.clamp(max=0.06) + 0.005) - across * 1.5
    pushing = torch.cat([ahead, low - now.grip_m[:, 2:]], dim=-1)
    # Approaching: to a place behind the object, high where the way there would run into it.
    to_behind = -direction * _BEHIND_M - offset
    far = to_behind.norm(dim=-1, keepdim=True)
    height = torch.where(far < 0.02, low, now.object_m[:, 2:] + _CLEAR_M)
    too_low = (now.grip_m[:, 2:] < now.object_m[:, 2:] + 0.045) & (far > 0.02)
    near = offset.norm(dim=-1, keepdim=True) < 0.075
    sideways = torch.where(too_low & near, torch.zeros_like(to_behind), to_behind)
    approaching = torch.cat([sideways, height - now.grip_m[:, 2:]], dim=-1)
    ready = behind & (now.grip_m[:, 2:] < now.object_m[:, 2:] + 0.035)
    step = torch.where(ready, pushing, approaching)
    # There already: stay.
    step = torch.where(left_m < 0.012, torch.zeros_like(step), step)
    return _move(step, _CLOSED, gain=0.2)


# Fingers that have closed this far have the object between them.
_HOLDING_M: Final = 0.036


def pick_and_place(now: Situation) -> torch.Tensor:
    """Over the object with open fingers, down, close, carry, and let go only by never having to."""
    to_object = now.object_m - now.grip_m
    sideways_m = to_object[:, :2].norm(dim=-1, keepdim=True)
    at_object = (sideways_m < 0.015) & (to_object[:, 2:].abs() < 0.02)
    held = at_object & (now.finger_m[:, None] < _HOLDING_M)
    above = torch.cat([to_object[:, :2], to_object[:, 2:] + 0.07], dim=-1)
    reaching = torch.where(sideways_m < 0.015, to_object, above)
    way = now.goal_m - now.object_m
    # Along the table the object is lifted first.
    far = way[:, :2].norm(dim=-1, keepdim=True) > 0.03
    lift = torch.where(far, way[:, 2:].clamp(min=0.02), way[:, 2:])
    carrying = torch.cat([way[:, :2], lift], dim=-1)
    step = torch.where(held, carrying, torch.where(at_object, torch.zeros_like(reaching), reaching))
    finger = torch.where(at_object, _CLOSED, _OPEN).to(step.dtype)
    return torch.cat([(step * (0.2 / ACTION_SCALE_M)).clamp(-1.0, 1.0), finger], dim=-1)


def _move(step_m: torch.Tensor, finger: float, gain: float = _GAIN) -> torch.Tensor:
    action = (step_m * (gain / ACTION_SCALE_M)).clamp(-1.0, 1.0)
    return torch.nn.functional.pad(action, (0, 1), value=finger)

