"""A Fetch behind rosbridge: server, network and robot put together, in the time of whoever calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from fetch_sim2real.errors import MessageError
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.rosbridge.messages import ArmActionGoal, GripperActionGoal, read
from fetch_sim2real.rosbridge.topics import Json
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.types import FloatArray, JointSample, JointTrajectory
from sim_bridge.fetch_actions import Arm
from sim_bridge.fetch_robot import FetchRobot
from sim_bridge.network import Line, NetworkSettings

if TYPE_CHECKING:  # the server needs a package that nothing else does
    from sim_bridge.rosbridge_server import Client, RosbridgeServer

ARM, GRIPPER = 0, 1
_GOALS: Final[dict[str, tuple[int, type[ArmActionGoal] | type[GripperActionGoal]]]] = {
    ros1.ARM_GOAL.name: (ARM, ArmActionGoal),
    ros1.GRIPPER_GOAL.name: (GRIPPER, GripperActionGoal),
}


class RosbridgePort:
    """Times are those of the robot's clock [s]; call ``work`` at ``next_s`` at the latest."""

    def __init__(
        self,
        server: RosbridgeServer,
        network: NetworkSettings,
        arm: Arm,
        move_fingers: Callable[[float], None],
        torso_height_m: float,
    ) -> None:
        self._server = server
        self._network = network
        self._now_s = 0.0
        self._stands_still = False
        self.robot = FetchRobot(arm, move_fingers, self._say, torso_height_m)
        self.start_episode(0, 0.0)

    def start_episode(self, seed: int, now_s: float) -> None:
        """Begin an episode: what was on its way is lost, and what comes late of it; delays follow from ``seed``."""
        self._episode_ns = round(now_s * 1e9)
        to_robot, to_client = np.random.default_rng([seed, 20]).spawn(2)
        self._to_robot: Line[Callable[[float], None]] = Line(self._network, to_robot)
        self._to_client: Line[Callable[[], None]] = Line(self._network, to_client)
        self.robot.restart(now_s)

    @property
    def next_s(self) -> float:
        """When something arrives at the robot or is due there [s]."""
        return min(self._to_robot.next_s, self.robot.next_s)

    def receive(self, now_s: float) -> list[tuple[int, int]]:
        """Take what the clients have sent; group and number of each goal among it, which travels on from here."""
        goals = []
        for client, message in self._server.take():
            if message["op"] != "publish":
                self._to_robot.send(now_s, partial(self._answer, client, message))
            elif (topic := message["topic"]) in _GOALS:
                group, kind = _GOALS[topic]
                try:
                    goal = read(kind, message.get("msg"), topic)
                except MessageError as error:
                    client.complain(str(error))
                    continue
                goals.append((group, goal_number(goal.goal_id.id)))
                # One from the end of the last episode goes nowhere: the arm is not there any more.
                if goal.header.stamp.ns >= self._episode_ns:
                    self._to_robot.send(now_s, partial(self.robot.on_goal, goal=goal))
        return goals

    def work(self, now_s: float) -> None:
        """Let arrive what is due, at the robot and at the clients."""
        self._now_s = now_s
        for arrive in self._to_robot.take(now_s):
            arrive(now_s)
        self.robot.work(now_s)
        self._deliver(now_s)

    def report(self, sample: JointSample) -> None:
        """Report the robot's joints."""
        self._now_s = sample.stamp_ns * 1e-9
        self.robot.report(sample)

    def stand_still(self, now_s: float, sample: JointSample) -> None:
        """Give the client all there is at once: time stands still, so that nothing would ever arrive."""
        self._now_s = now_s
        self._deliver(np.inf)
        # Not through the line: how often this is called is no affair of the episode's draws.
        self._stands_still = True
        self.robot.report(sample)
        self.robot.publish_state()
        self._stands_still = False

    def clock(self, now_ns: int) -> None:
        """Say the time; behind everything that has arrived before."""
        self._server.publish(ros1.CLOCK.name, {"clock": ros1.time_json(now_ns)})

    def close(self) -> None:
        """End the server."""
        self._server.close()

    def _say(self, topic: str, message: Json) -> None:
        if self._stands_still:
            self._server.publish(topic, message)
        else:
            self._to_client.send(self._now_s, lambda: self._server.publish(topic, message))

    def _answer(self, client: Client, message: Json, now_s: float) -> None:
        service = str(message.get("service"))
        values = self.robot.call_service(now_s, service)
        answer = {
            "op": "service_response",
            "id": message.get("id"),
            "service": service,
            "values": f"Service {service} does not exist" if values is None else values,
            "result": values is not None,
        }
        self._to_client.send(now_s, lambda: client.send(answer))

    def _deliver(self, now_s: float) -> None:
        for deliver in self._to_client.take(now_s):
            deliver()


def goal_number(goal_id: str) -> int:
    """Return the number that the driver gave a goal, at the end of its id; 0 if somebody else sent it."""
    text = goal_id.rpartition("-")[2]
    return int(text) if text.isascii() and text.isdigit() else 0


class SimulatedArm:
    """See fetch_actions.Arm. The delays of the way here are the network's and the action server's, not the world's."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim

    def start(self, trajectory: JointTrajectory, from_measured: bool) -> None:
        """See Arm."""
        self._sim.start_arm(trajectory, from_measured)

    def hold(self) -> None:
        """See Arm."""
        self._sim.hold_arm()

    def error_rad(self) -> FloatArray:
        """See Arm."""
        return self._sim.arm_error_rad()
