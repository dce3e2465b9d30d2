"""Writes an episode's links and fingers into a compiled MuJoCo model."""

from __future__ import annotations

from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.mjcf import source_of
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.sim.randomization.objects import ObjectPhysics
from fetch_sim2real.sim.randomization.robot import FingerSample, MechanicsSample

# Above objects, whose own contact parameters else count (``scene``).
_DECIDES: Final = 2


class Mechanics:
    """Changes links and fingers of one model; keeps what they are by the robot's description."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._links = np.array([model.body(name).id for name in ARM.links])
        self._mass, self._inertia = model.body_mass[self._links], model.body_inertia[self._links]
        self._center = model.body_ipos[self._links]
        bodies = [int(model.jnt_bodyid[model.joint(name).id]) for name in ARM.gripper_joints]
        self._finger_geoms = np.flatnonzero(np.isin(model.geom_bodyid, bodies) & (model.geom_contype > 0))
        self._finger_servos = np.array([model.actuator(name).id for name in ARM.gripper_joints], dtype=int)
        self._priority = model.geom_priority[self._finger_geoms]
        self._friction = model.geom_friction[self._finger_geoms]
        self._solref, self._solimp = model.geom_solref[self._finger_geoms], model.geom_solimp[self._finger_geoms]

    def apply(self, draw: MechanicsSample, touched: ObjectPhysics) -> None:
        """Write ``draw``; where fingers have a friction of their own, their contacts give way as ``touched`` does."""
        model, links = self._model, self._links
        model.body_mass[links] = self._mass * draw.link_mass_factor
        model.body_inertia[links] = self._inertia * (draw.link_mass_factor * draw.link_inertia_factor)[:, None]
        model.body_ipos[links] = self._center + draw.link_shift_m
        # The robot compensates for the links that it believes in.
        model.body_gravcomp[links] = 1.0 / draw.link_mass_factor
        self._apply_fingers(draw.fingers, touched)

    def _apply_fingers(self, draw: FingerSample, touched: ObjectPhysics) -> None:
        model, geoms, servos = self._model, self._finger_geoms, self._finger_servos
        servo = source_of(ARM).fingers
        if servo is None:
            return
        stiffness = servo.kp * draw.gain_factor
        model.actuator_gainprm[servos, 0], model.actuator_biasprm[servos, 1] = stiffness, -stiffness
        model.geom_priority[geoms], model.geom_friction[geoms] = self._priority, self._friction
        model.geom_solref[geoms], model.geom_solimp[geoms] = self._solref, self._solimp
        if draw.friction is not None:
            model.geom_priority[geoms] = _DECIDES
            model.geom_friction[geoms, 0], model.geom_friction[geoms, 1] = draw.friction, draw.torsional_friction_m
            model.geom_solref[geoms, 0] = touched.contact_time_s
            model.geom_solimp[geoms, 0] = touched.contact_impedance
