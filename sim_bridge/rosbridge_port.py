"""A Fetch behind rosbridge: server, network and robot put together, in the time of whoever calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fetch_sim2real.robot import ros1
from fetch_sim2real.robot.ros1 import Json
from fetch_sim2real.types import JointSample
from sim_bridge.fetch_actions import Arm
from sim_bridge.fetch_robot import FetchRobot
from sim_bridge.network import Line, NetworkSettings

if TYPE_CHECKING:  # the server needs a package that nothing else does
    from sim_bridge.rosbridge_server import Client, RosbridgeServer

ARM, GRIPPER = 0, 1
_GROUPS = {ros1.ARM_GOAL.name: ARM, ros1.GRIPPER_GOAL.name: GRIPPER}


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
        """What was on its way is lost, and what comes late of it; delays follow from ``seed``."""
        self._episode_ns = round(now_s * 1e9)
        to_robot, to_client = np.random.default_rng([seed, 20]).spawn(2)
        self._to_robot: Line[tuple[Client, Json]] = Line(self._network, to_robot)
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
            group = _GROUPS.get(str(message.get("topic")))
            if group is not None:
                goals.append((group, goal_number(message["msg"])))
                if ros1.time_ns_of(message["msg"]["header"]["stamp"]) < self._episode_ns:
                    continue  # from the end of the last episode: the arm is not there any more
            self._to_robot.send(now_s, (client, message))
        return goals

    def work(self, now_s: float) -> None:
        """Let arrive what is due, at the robot and at the clients."""
        self._now_s = now_s
        for client, message in self._to_robot.take(now_s):
            if message["op"] == "publish":
                self.robot.on_publish(now_s, str(message["topic"]), message["msg"])
            else:
                self._answer(now_s, client, message)
        self.robot.work(now_s)
        self._deliver(now_s)

    def report(self, sample: JointSample) -> None:
        """The robot reports its joints."""
        self._now_s = sample.stamp_ns * 1e-9
        self.robot.report(sample)

    def stand_still(self, now_s: float, sample: JointSample) -> None:
        """Time stands still, so that nothing would ever arrive: the client gets all there is at once."""
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

    def _answer(self, now_s: float, client: Client, message: Json) -> None:
        service = str(message["service"])
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


def goal_number(message: Json) -> int:
    """The number that the driver gave a goal, at the end of its id; 0 if somebody else sent it."""
    text = str(message["goal_id"]["id"]).rpartition("-")[2]
    return int(text) if text.isascii() and text.isdigit() else 0
