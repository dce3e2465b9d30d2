"""The simulation session as both pacings drive it: one piece of time, and what is published at its end."""

from __future__ import annotations

import math
import time

from fetch_sim2real.sim.disturbances.conditions import Conditions
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.timing import JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S
from fetch_sim2real.types import RgbdFrame
from sim_bridge.episode_log import EpisodeLog
from sim_bridge.outputs import Outputs
from sim_bridge.rosbridge_port import RosbridgePort


class SimulationSession:
    """World and publishers. Time advances only by ``run_to``.

    With a ``port`` the robot is behind rosbridge, and its joint states go there instead of to their topic.
    """

    def __init__(self, sim: Simulation, outputs: Outputs, port: RosbridgePort | None = None) -> None:
        self.sim = sim
        self._outputs = outputs
        self._port = port
        self._blank = False
        self._last_frame: RgbdFrame | None = None
        self._episodes = 0
        self._began_s, self._began_ns = 0.0, 0
        self.log = EpisodeLog(0, 0)

    def reset(self, seed: int, move_block: bool, blank_image: bool, conditions: Conditions) -> None:
        """Start an episode; publishes its time and joints."""
        self.sim.reset(seed, conditions.and_moved_block() if move_block else conditions)
        if self._port is not None:
            self._port.start_episode(seed, self.sim.now_ns * 1e-9)
        self._blank = blank_image
        self._last_frame = None
        self._episodes += 1
        self.log = EpisodeLog(self._episodes, self.sim.now_ns)
        self.publish_present()

    def begin(self) -> None:
        """Call before time starts to run."""
        self._began_s, self._began_ns = time.monotonic(), self.sim.now_ns

    def publish_present(self) -> None:
        """Publish time and joints as they are, which a robot that stands still goes on reporting."""
        if self._port is None:
            self._outputs.joint_states([self.sim.measured()])
        else:
            self._port.stand_still(self.sim.now_ns * 1e-9, self.sim.measured())
        self._publish_clock()

    def receive(self) -> list[tuple[int, int]]:
        """Take what has come through rosbridge: group and number of each goal."""
        if self._port is None:
            return []
        now_s = self.sim.now_ns * 1e-9
        goals = self._port.receive(now_s)
        self._port.work(now_s)
        return goals

    def run_to(self, step: int) -> None:
        """Advance physics to ``step``, then publish the joint states on the way and the time."""
        if self._port is None:
            self.sim.advance_to(step)
            self._outputs.joint_states(self.sim.take_joint_samples())
        else:
            self._run_with(self._port, step)
        self._publish_clock()

    def _run_with(self, port: RosbridgePort, step: int) -> None:
        """Run, stopping wherever something is due at the robot's controllers."""
        sim = self.sim
        while sim.step < step:
            stop = min(step, sim.step - sim.step % JOINT_STATE_EVERY_STEPS + JOINT_STATE_EVERY_STEPS)
            if math.isfinite(port.next_s):
                stop = min(stop, max(sim.step + 1, math.ceil(port.next_s / PHYSICS_STEP_S - 1e-6)))
            sim.advance_to(stop)
            for sample in sim.take_joint_samples():
                port.report(sample)
            port.work(sim.now_ns * 1e-9)

    def _publish_clock(self) -> None:
        self._outputs.clock(self.sim.now_ns)
        if self._port is not None:
            self._port.clock(self.sim.now_ns)

    def publish_due_goal(self) -> bool:
        """Tell the operator of the goal that comes into force with the next frame; False if it stays as it is."""
        goal_m = self.sim.due_goal_m()
        if goal_m is None:
            return False
        self._outputs.goal(goal_m, self.sim.task.goal_frame, self.sim.now_ns)
        return True

    def publish_frame(self) -> int:
        """Publish the frame that is due now; returns its stamp."""
        captured = self.sim.take_frame()
        if captured.frame is None:
            raise RuntimeError("the bridge's world has no camera")
        frame = captured.frame.blanked() if self._blank else captured.frame
        self._last_frame = frame
        self.log.frame(frame.stamp_ns, captured.render_s)
        self._outputs.frame(frame, self.sim.camera_model, self.sim.depth_camera_model)
        main = self.sim.main_object()
        self._outputs.block(main.position_m, main.quaternion_wxyz, self.sim.now_ns)
        return frame.stamp_ns

    def publish_frame_again(self) -> None:
        """Publish the frame again, for who lost it or was not there yet; who has it ignores it by its stamp."""
        if self._last_frame is not None:
            self.log.republished += 1
            self._outputs.frame(self._last_frame, self.sim.camera_model, self.sim.depth_camera_model)

    def publish_outcome(self) -> None:
        """Publish the result of the episode, which is over."""
        simulated_s = (self.sim.now_ns - self._began_ns) * 1e-9
        factor = simulated_s / max(time.monotonic() - self._began_s, 1e-9)
        self._outputs.outcome(self.log.result(self.sim.outcome(), factor))
