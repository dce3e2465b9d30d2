"""The driver interface: what a back end is given of the driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rclpy.node import Node
from sensor_msgs.msg import JointState

from fetch_sim2real.ros.parameters import Parameters
from fetch_sim2real.types import BasePose, FloatArray


class Driver(Protocol):
    """The driver as a back end sees it. Everything but ``post`` is called in the main thread."""

    @property
    def node(self) -> Node:
        """The ROS node, for topics and timers."""

    @property
    def parameters(self) -> Parameters:
        """The driver's parameters."""

    @property
    def tracking_error_rad(self) -> FloatArray:
        """How far (n,) [rad] the arm may be from where it is commanded."""

    @property
    def finger_effort_n(self) -> float:
        """What the gripper may press with [N]."""

    @property
    def runs_in_lockstep(self) -> bool:
        """Time is the simulation's, which waits: wall-clock time-outs mean nothing."""

    @property
    def is_simulated(self) -> bool:
        """Robot and driver have the same clock."""

    @property
    def is_active(self) -> bool:
        """The arm follows commands."""

    def now_ns(self) -> int:
        """Return the driver's time."""

    def post(self, work: Callable[[], None]) -> None:
        """Have the main thread do ``work``, in order and soon. May be called in any thread.

        An error that it raises ends the driver in order, with a last brake. Never give the executor tasks: in those
        it ends the process at once.
        """

    def on_joint_state(self, message: JointState) -> None:
        """Note that the robot reports joints."""

    def on_base_pose(self, pose: BasePose) -> None:
        """Note that the robot reports where its base is, by odometry."""

    def on_clock(self, stamp_ns: int) -> None:
        """Take in simulated time, from a back end that carries it."""

    def on_fault(self, reason: str) -> None:
        """Note that the robot reports a fault or has cut power."""

    def on_lost(self, reason: str, *, then_disabled: bool = False) -> None:
        """Hold: the way to the robot is interrupted, or cannot be judged. Then disable if ``then_disabled``."""
