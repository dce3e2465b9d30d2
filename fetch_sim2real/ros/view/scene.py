"""What tools that draw are shown: where the robot's links are, goal, table, workspace, and where the gripper goes.

No ROS here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import product
from typing import Final

import numpy as np

from fetch_sim2real.arm.collision import Scene
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.arm.robot_tree import LinkFrame, robot_tree
from fetch_sim2real.arm.spec import ArmSpec, Point
from fetch_sim2real.control.trajectory import sample_trajectory
from fetch_sim2real.graph import BASE_FRAME, BLOCK_FRAME, COLOR_OPTICAL_FRAME
from fetch_sim2real.messages.scene import Rgba, SceneShape, camera_frame
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.types import FloatArray, Goal, JointSetpoint, JointTrajectory

# A driver that is active sends many trajectories a second: one this old is followed no more.
PATH_LIMIT_S: Final = 1.0
_PATH_POINTS: Final = 12
_GOAL_M: Final = 0.04
_LINE_M: Final = 0.004
_PATH_M: Final = 0.008
_GOAL_RGBA: Final[Rgba] = (1.0, 0.86, 0.0, 0.9)
_TABLE_RGBA: Final[Rgba] = (0.6, 0.45, 0.3, 0.4)
_WORKSPACE_RGBA: Final[Rgba] = (0.2, 0.8, 0.3, 0.8)
_PATH_RGBA: Final[Rgba] = (0.1, 0.6, 1.0, 1.0)
_NOWHERE: Final = np.zeros(3)
_NO_POINTS: Final = np.zeros((0, 3))


class SceneState:
    """The newest of what is drawn. One thread writes and reads it."""

    def __init__(self, arm: ArmSpec = ARM, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` [s] tells how old a trajectory is."""
        self._arm, self._clock = arm, clock
        self._tree = robot_tree(arm)
        self._positions: dict[str, float] = {}
        self._surroundings: Scene | None = None
        self._trained: Pose | None = None
        self._calibrated: Pose | None = None
        self._goal: Goal | None = None
        self._block_m: FloatArray | None = None
        self._path: tuple[float, JointTrajectory] | None = None
        self.stamp_ns: int | None = None
        """The newest stamp of a joint state; None before the first."""

    # -- what comes in -------------------------------------------------------------------------------------------

    def on_joints(self, positions: Mapping[str, float], stamp_ns: int) -> None:
        """Take in measured positions [rad or m] by joint; a robot may tell some now and others later."""
        self._positions.update(positions)
        self.stamp_ns = stamp_ns

    def on_surroundings(self, scene: Scene | None) -> None:
        """Take in table, workspace, and the torso's height for as long as no joint state tells it."""
        self._surroundings = scene

    def on_trained_pose(self, base_T_camera: Pose | None) -> None:
        """Take in where the camera was in training: that holds as long as there is no calibration."""
        self._trained = base_T_camera

    def on_calibration(self, base_T_camera: Pose | None) -> None:
        """Take in where the camera is by its calibration; None: there is none."""
        self._calibrated = base_T_camera

    def on_goal(self, goal: Goal | None) -> None:
        """Take in the goal in force."""
        self._goal = goal

    def on_block(self, position_m: FloatArray) -> None:
        """Take in where the simulated block is, (3,) [m] in base_link: goals may be relative to it."""
        self._block_m = position_m

    def on_trajectory(self, trajectory: JointTrajectory) -> None:
        """Take in what the driver has sent to the arm."""
        self._path = (self._clock(), trajectory)

    # -- what is asked for ---------------------------------------------------------------------------------------

    def fixed_frames(self) -> tuple[LinkFrame, ...]:
        """Return the frames that stay, the camera's among them where its pose is known."""
        pose = self._trained if self._calibrated is None else self._calibrated
        camera = () if pose is None else (camera_frame(pose, COLOR_OPTICAL_FRAME),)
        return (*self._tree.fixed_frames(), *camera)

    def moving_frames(self) -> tuple[LinkFrame, ...]:
        """Return the frames of all joints whose positions are known."""
        known = dict(self._positions)
        if self._arm.torso:
            known.setdefault(self._arm.torso_joint, self._torso_m())
        return self._tree.moving_frames(known)

    def shapes(self) -> dict[str, SceneShape | None]:
        """Return what to draw beside the robot, always under the same names; None where there is nothing to draw."""
        scene = self._surroundings
        table = None if scene is None or not scene.tables else scene.tables[0]
        return {
            "table": None if table is None else _box(table.lower_m, table.upper_m, _TABLE_RGBA),
            "workspace": None if scene is None else _edges(scene.workspace_lower_m, scene.workspace_upper_m),
            "goal": self._goal_shape(),
            "path": self._path_shape(),
        }

    def _torso_m(self) -> float:
        assumed_m = self._arm.torso_range_m[0] if self._surroundings is None else self._surroundings.torso_height_m
        height_m = self._positions.get(self._arm.torso_joint, assumed_m)
        return height_m if np.isfinite(height_m) else assumed_m

    def _goal_shape(self) -> SceneShape | None:
        if self._goal is None:
            return None
        place_m, frame_id = self._goal.position_m, self._goal.frame_id
        if frame_id == BLOCK_FRAME and self._block_m is not None:
            place_m, frame_id = place_m + self._block_m, BASE_FRAME
        if frame_id not in (BASE_FRAME, COLOR_OPTICAL_FRAME) or not np.all(np.isfinite(place_m)):
            return None
        return SceneShape("sphere", frame_id, (_GOAL_M,) * 3, _GOAL_RGBA, place_m, _NO_POINTS)

    def _path_shape(self) -> SceneShape | None:
        if self._path is None or self._clock() - self._path[0] > PATH_LIMIT_S:
            return None
        points = self._path[1].points
        first, last = points[0], points[-1]
        times_s = np.linspace(first.time_from_start_s, last.time_from_start_s, _PATH_POINTS)
        # Where it starts from the driver alone knows; it is a period's way before the first point.
        start = JointSetpoint(first.position, first.velocity)
        positions = [sample_trajectory(self._path[1], start, float(time_s)).position for time_s in times_s]
        places_m = grip_position(np.array(positions), self._torso_m(), self._arm)
        return SceneShape("line", BASE_FRAME, (_PATH_M, 0.0, 0.0), _PATH_RGBA, _NOWHERE, places_m)


def _box(lower_m: Point, upper_m: Point, rgba: Rgba) -> SceneShape:
    lower, upper = np.array(lower_m), np.array(upper_m)
    x, y, z = (float(value) for value in upper - lower)
    return SceneShape("box", BASE_FRAME, (x, y, z), rgba, 0.5 * (lower + upper), _NO_POINTS)


def _edges(lower_m: Point, upper_m: Point) -> SceneShape:
    corners = np.array(list(product(*zip(lower_m, upper_m, strict=True))))
    # Corners count in binary, the last coordinate fastest: an edge changes one digit.
    pairs = [(corner, corner | digit) for corner in range(8) for digit in (1, 2, 4) if not corner & digit]
    points_m = corners[np.array(pairs).ravel()]
    return SceneShape("edges", BASE_FRAME, (_LINE_M, 0.0, 0.0), _WORKSPACE_RGBA, _NOWHERE, points_m)
