"""The ROS 1 side of a simulated Fetch: what its topics and services take and give, in JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.rosbridge.messages import ArmActionGoal, GripperActionGoal
from fetch_sim2real.rosbridge.topics import Json
from fetch_sim2real.types import BasePose, JointSample
from sim_bridge.fetch_actions import ROUNDING_S, Arm, ArmAction

_STATE_PERIOD_S: Final = 0.1
_NAMES: Final = [*ARM.joint_names, ARM.torso_joint]


class FetchRobot:
    """Topics of a Fetch. ``publish`` is called with topic and message of whatever it says.

    ``move_fingers`` takes the wanted opening of each finger [m].
    """

    def __init__(
        self,
        arm: Arm,
        move_fingers: Callable[[float], None],
        publish: Callable[[str, Json], None],
        torso_height_m: float,
    ) -> None:
        self._arm = arm
        self.restart(0.0)
        self._move_fingers = move_fingers
        self._send = publish
        self.torso_height_m = torso_height_m
        self.ceased: set[str] = set()
        """Topics on which nothing comes any more."""
        self.base: BasePose | None = None
        """Where odometry says that the base is; None publishes none: nothing drives in the simulated world."""
        self._runstopped = False
        self._faulted = False
        self._now_s = 0.0

    def restart(self, now_s: float) -> None:
        """Reset the controllers as after a start: no goal, and nobody is told what became of the last one."""
        # Their time begins here, so that an episode does not depend on when it is run.
        self._started_s = self._next_state_s = now_s
        self.action = ArmAction(self._arm, self._finish_arm)

    @property
    def next_s(self) -> float:
        """When ``work`` is needed next [s]."""
        return self._started_s + self.action.next_s

    def on_goal(self, now_s: float, goal: ArmActionGoal | GripperActionGoal) -> None:
        """Note that a client has published a goal."""
        self._now_s = now_s
        if isinstance(goal, ArmActionGoal):
            self.action.on_goal(now_s - self._started_s, goal)
        else:
            self._on_gripper_goal(goal)

    def call_service(self, now_s: float, service: str) -> Json | None:
        """Return a service's answer; None for one that does not exist."""
        return {"time": ros1.time_json(round(now_s * 1e9))} if service == ros1.GET_TIME else None

    def work(self, now_s: float) -> None:
        """Do what is due at ``now_s`` [s]."""
        self._now_s = now_s
        self.action.work(now_s - self._started_s)
        if now_s >= self._next_state_s - ROUNDING_S:
            self._next_state_s = now_s + _STATE_PERIOD_S
            self.publish_state()

    def report(self, sample: JointSample) -> None:
        """Publish joints as a Fetch does: arm and torso in one message, gripper in another."""
        header = ros1.header_json(sample.stamp_ns)
        fingers = [sample.finger_position_m] * 2
        self._publish(
            ros1.JOINT_STATES.name,
            {
                "header": header,
                "name": list(ARM.gripper_joints),
                "position": fingers,
                "velocity": [0.0] * len(fingers),
                "effort": [],
            },
        )
        position = [*sample.position.tolist(), self.torso_height_m]
        velocity = [*sample.velocity.tolist(), 0.0]
        self._publish(
            ros1.JOINT_STATES.name,
            {"header": header, "name": _NAMES, "position": position, "velocity": velocity, "effort": []},
        )

    def set_runstop(self, pressed: bool) -> None:
        """Press or release the run-stop; released, the robot has power again and nothing moves by itself."""
        self._runstopped = pressed
        self.action.set_power(not pressed)
        self.publish_state()

    def set_fault(self, faulted: bool) -> None:
        """Have a board or motor report a fault, or none any more."""
        self._faulted = faulted
        self.publish_state()

    def publish_state(self) -> None:
        """Publish what /robot_state and the arm's action say all the time."""
        header = ros1.header_json(round(self._now_s * 1e9))
        ready = not (self._runstopped or self._faulted)
        state = {"header": header, "ready": ready, "faulted": self._faulted, "runstopped": self._runstopped}
        self._publish(ros1.ROBOT_STATE.name, state)
        active = self.action.active_id
        statuses = [ros1.status_json(active, ros1.ACTIVE)] if active else []
        self._publish(ros1.ARM_STATUS.name, {"header": header, "status_list": statuses})
        if self.base is not None:
            self._publish(ros1.ODOMETRY.name, ros1.odometry_json(self.base, header))

    def _publish(self, topic: str, message: Json) -> None:
        if topic not in self.ceased:
            self._send(topic, message)

    def _finish_arm(self, goal_id: str, status: int, error_code: int, text: str) -> None:
        result = {"error_code": error_code, "error_string": ""}
        self._finish(ros1.ARM_RESULT.name, ros1.status_json(goal_id, status, text), result)

    def _on_gripper_goal(self, message: GripperActionGoal) -> None:
        opening_m = message.goal.command.position / 2.0
        if not self._runstopped and math.isfinite(opening_m):
            self._move_fingers(min(max(opening_m, 0.0), ARM.finger_max_m))
        # Ends at once: nobody waits for it, and how long fingers take is the simulation's affair.
        status = ros1.ABORTED if self._runstopped else ros1.SUCCEEDED
        result = {"position": 2 * opening_m, "effort": 0.0, "stalled": False, "reached_goal": True}
        self._finish(ros1.GRIPPER_RESULT.name, ros1.status_json(message.goal_id.id, status), result)

    def _finish(self, topic: str, status: Json, result: dict[str, Any]) -> None:
        header = ros1.header_json(round(self._now_s * 1e9))
        self._publish(topic, {"header": header, "status": status, "result": result})
