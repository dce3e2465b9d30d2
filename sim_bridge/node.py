"""The bridge's node: messages and services on the outside, a simulation session on the inside."""

from __future__ import annotations

import time
from typing import Final

from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.errors import CommandError, ObservationError
from fetch_sim2real.graph import ROSBRIDGE
from fetch_sim2real.messages.motion import (
    decode_sent_counts,
    decode_setpoint_report,
    decode_trajectory,
    decode_trajectory_number,
)
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.messages.statuses import EpisodeGoal, ResetAnswer, encode_status
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.ros.diagnostics import Diagnostics, Level, Report
from fetch_sim2real.ros.main_loop import StackNode
from fetch_sim2real.ros.topics import serve_trigger, subscribe_to
from fetch_sim2real.sim.disturbances.conditions import Conditions
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.stack.options import CAMERA_SIM, CAMERA_SIZES
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import PHYSICS_STEP_S
from sim_bridge.network import NetworkSettings
from sim_bridge.outputs import Outputs
from sim_bridge.pacing import Lockstep, RealTime
from sim_bridge.rosbridge_port import RosbridgePort, SimulatedArm
from sim_bridge.settings import TABLE
from sim_bridge.simulation_session import SimulationSession

_ARM, _GRIPPER = 0, 1
_PAUSED_PERIOD_S: Final = 0.05
_DRIVER_WAIT_S: Final = 2.0


class SimBridge(StackNode):
    """A simulated Fetch and its camera, paused until it is resumed."""

    def __init__(self) -> None:
        super().__init__(graph.SIM_BRIDGE, TABLE)
        world = self._world()
        self._is_lockstep = self.parameters.flag("lockstep")
        task = find_task(self.parameters.text("task"))
        is_camera = self.parameters.text("camera_source") == CAMERA_SIM
        size = CAMERA_SIZES[self.parameters.text("camera")]
        engine = self.parameters.text("engine")
        sim = Simulation(world, task, size, render_in_background=True, separate_depth=not is_camera, engine=engine)
        self._port = self._rosbridge(sim) if self.parameters.text("backend") == ROSBRIDGE else None
        outputs = Outputs(self, world.workcell.torso_height_m, is_camera, self._port is None)
        self._session = SimulationSession(sim, outputs, self._port)
        self._pace: Lockstep | RealTime = (
            Lockstep(self._session, self.parameters.number("ack_timeout_s"))
            if self._is_lockstep
            else RealTime(self._session, self.parameters.number("realtime_factor"))
        )
        self._refused_trajectories = 0
        self._running = False
        self._next_report_s = 0.0
        if self._port is None:
            subscribe_to(self, graph.ARM_TRAJECTORY, self._on_arm_trajectory)
            subscribe_to(self, graph.GRIPPER_TRAJECTORY, self._on_gripper_trajectory)
        subscribe_to(self, graph.JOINT_COMMAND, self._on_command)
        subscribe_to(self, graph.SETPOINT, self._on_setpoint)
        self._ticks = subscribe_to(self, graph.DRIVER_TICK, self._on_tick)
        serve_trigger(self, graph.SIM_RESET, self._reset)
        serve_trigger(self, graph.SIM_RESUME, self._resume)
        serve_trigger(self, graph.SIM_PAUSE, self._pause)
        self._diagnostics = Diagnostics(self, self._report)
        self._start_episode()

    def _world(self) -> World:
        world = load_world(self.parameters.text("world"), worlds_dir())
        episode_s = self.parameters.number("episode_s")
        return world.with_episode_s(episode_s) if episode_s > 0.0 else world

    def _rosbridge(self, sim: Simulation) -> RosbridgePort:
        # Imported here: it needs a package that nothing else does.
        from sim_bridge.rosbridge_server import RosbridgeServer

        parameters = self.parameters
        latency_s, jitter_s = parameters.number("rosbridge_latency_s"), parameters.number("rosbridge_jitter_s")
        network = NetworkSettings(latency_s, jitter_s, parameters.number("rosbridge_loss"))
        # The policy answers a frame once it has joints of the frame's time, and lockstep cannot wait for it.
        sim.least_camera_latency_s = latency_s + jitter_s + PHYSICS_STEP_S
        server = RosbridgeServer(parameters.whole("rosbridge_port"), self._wake)
        self.get_logger().info(f"rosbridge at {server.address}")
        return RosbridgePort(server, network, SimulatedArm(sim), sim.send_fingers, sim.world.workcell.torso_height_m)

    # -- time ----------------------------------------------------------------------------------------------------

    def work(self) -> float:
        """Do one piece of simulated time, or stand still."""
        if self._running:
            wait_s = self._pace.work()
            if self._pace.is_over:
                self._running = False
                self._session.publish_outcome()
            return wait_s
        now_s = time.monotonic()
        if now_s >= self._next_report_s:
            self._next_report_s = now_s + _PAUSED_PERIOD_S
            self._session.publish_present()
        return self._next_report_s - now_s

    def close(self) -> None:
        """Free the renderer."""
        if self._port is not None:
            self._port.close()
        self._session.sim.close()

    # -- services ------------------------------------------------------------------------------------------------

    def _reset(self) -> tuple[bool, str]:
        self._start_episode()
        driver_is_ready = self._wait_for_driver() if self._is_lockstep else None
        sim = self._session.sim
        answer = ResetAnswer(
            episode=self._session.log.episode,
            seed=sim.episode.seed,
            goal=EpisodeGoal(frame_id=sim.task.goal_frame, position_m=tuple(sim.episode.goal_m.tolist())),
            now_ns=sim.now_ns,
            driver_is_ready=driver_is_ready,
        )
        return True, encode_status(answer)

    def _start_episode(self) -> None:
        self._running = False
        parameters = self.parameters
        self._session.reset(
            parameters.whole("seed"),
            parameters.flag("move_block"),
            parameters.flag("blank_image"),
            self._conditions(),
        )

    def _conditions(self) -> Conditions:
        return Conditions.from_text(self.parameters.text("conditions"))

    def _wait_for_driver(self) -> bool:
        """Whether the driver has dealt with the new time: activating it before would start from the old state."""
        deadline_s = time.monotonic() + _DRIVER_WAIT_S
        while self._ticks.get_publisher_count() and time.monotonic() < deadline_s:
            # A service's answer cannot be deferred, so the echo is taken here rather than by the executor.
            taken = self._ticks.handle.take_message(Clock, False)
            if taken is None:
                time.sleep(0.0005)
                continue
            self._on_tick(taken[0])
            if decode_stamp(taken[0].clock) == self._session.sim.now_ns:
                return True
        return False

    def _resume(self) -> tuple[bool, str]:
        if self._session.sim.done:
            return False, f"the episode is over: call {graph.SIM_RESET} first"
        if self._running:
            self._pace.resume()
        else:
            self._running = True
            self._session.begin()
            self._pace.start()
        return True, "running"

    def _pause(self) -> tuple[bool, str]:
        if self._running and self._is_lockstep:
            return False, "in lockstep a period cannot be left half done; the world pauses when the episode is over"
        self._running = False
        return True, "paused"

    # -- messages ------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Something has come through rosbridge. Called in other threads."""
        self.post(self._receive)

    def _receive(self) -> None:
        if self._running:
            self._pace.catch_up()
        for group, number in self._session.receive():
            self._pace.on_trajectory(group, number)

    def _on_arm_trajectory(self, message: JointTrajectory) -> None:
        if self._running:
            self._pace.catch_up()
        try:
            self._session.sim.send_arm(decode_trajectory(message, ARM.joint_names))
        except CommandError as error:
            self._refuse(error)
        self._pace.on_trajectory(_ARM, decode_trajectory_number(message))

    def _on_gripper_trajectory(self, message: JointTrajectory) -> None:
        if self._running:
            self._pace.catch_up()
        try:
            trajectory = decode_trajectory(message, ARM.gripper_joints)
            self._session.sim.send_fingers(float(trajectory.points[-1].position.mean()))
        except CommandError as error:
            self._refuse(error)
        self._pace.on_trajectory(_GRIPPER, decode_trajectory_number(message))

    def _refuse(self, error: CommandError) -> None:
        self._refused_trajectories += 1
        self.get_logger().warning(f"refused: {error}", throttle_duration_sec=1.0)

    def _on_command(self, message: JointTrajectory) -> None:
        self._session.log.command(decode_stamp(message.header.stamp))

    def _on_setpoint(self, message: JointState) -> None:
        try:
            sent, report = decode_sent_counts(message), decode_setpoint_report(message)
        except ObservationError as error:
            self.get_logger().warning(f"ignored: {error}", throttle_duration_sec=1.0)
            return
        if report.is_activation:
            self._pace.on_activation(sent)
            return  # answers no frame, though it may carry the first one's stamp
        self._session.log.report(report)
        self._pace.on_setpoint(report.stamp_ns, sent)

    def _on_tick(self, message: Clock) -> None:
        self._pace.on_tick(decode_stamp(message.clock))

    def _report(self) -> Report:
        log = self._session.log
        values: dict[str, object] = {
            "world": self._session.sim.world.name,
            "lockstep": self._is_lockstep,
            "episode": log.episode,
            "seed": self._session.sim.episode.seed,
            "missed_frames": log.missed,
            "republished_frames": log.republished,
            "refused_trajectories": self._refused_trajectories,
        }
        if isinstance(self._pace, RealTime):
            values["lost_time_s"] = self._pace.lost_s
        return Report(Level.OK, "running" if self._running else "paused", values)
