"""The unplanned changes of one episode, in one place for the world that runs them."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.sim.disturbances.conditions import Conditions, Perturbation
from fetch_sim2real.sim.disturbances.physical import ArmPush, Happening, Shove, Stage
from fetch_sim2real.sim.disturbances.visual import CameraBump, LightSwitch, PassingHand

# ``move_block`` and ``move_goal`` are the world's own: they change what it keeps.
_KINDS: Final[dict[Perturbation, type[Shove | ArmPush | CameraBump | LightSwitch | PassingHand]]] = {
    "shove": Shove,
    "push_arm": ArmPush,
    "bump_camera": CameraBump,
    "switch_light": LightSwitch,
    "occlude": PassingHand,
}


def make_happenings(conditions: Conditions, stage: Stage) -> tuple[Happening, ...]:
    """What is to be called at every joint state of the episode. Without an object on the table nothing is shoved."""
    kinds = [kind for kind in conditions.perturb if kind in _KINDS]
    return tuple(_KINDS[kind](stage) for kind in kinds if kind != "shove" or stage.draw.task.object is not None)
