"""The table of inputs: a good example of each, how it is broken, and what reads it in the running stack."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import rclpy
import yaml
from geometry_msgs.msg import PoseStamped
from rclpy.logging import LoggingSeverity, set_logger_level
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from arm_driver.commands import validated_command
from arm_driver.rosbridge_backend import RosbridgeBackend
from arm_driver.settings import TABLE as DRIVER_TABLE
from arm_driver.slow_moves import waypoints_of
from benchmarks.mutations.campaign import Input
from benchmarks.mutations.mutators import (
    ODD_VALUES,
    broken_bytes,
    broken_json,
    broken_message,
    broken_tree,
    broken_yaml,
)
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import DEFAULT_PROFILE, limit_profile
from fetch_sim2real.bags.playing import survey
from fetch_sim2real.bags.reading import open_bag
from fetch_sim2real.calibration.camera_file import load_calibration, load_intrinsics
from fetch_sim2real.calibration.in_force import CalibrationInForce
from fetch_sim2real.control.action import box_told
from fetch_sim2real.control.checks import Refusal
from fetch_sim2real.control.filter import SafetyFilter
from fetch_sim2real.control.homing import SlowMoveFollower
from fetch_sim2real.control.readings import RobotReadings
from fetch_sim2real.control.states import State
from fetch_sim2real.control.trajectory import held_until, stopping_trajectory
from fetch_sim2real.errors import CommandError, MessageError, ObservationError
from fetch_sim2real.evaluation.suite import SUITES, load_suite
from fetch_sim2real.messages.camera_info import decode_camera_info, encode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth, encode_color, encode_depth
from fetch_sim2real.messages.joint_states import encode_joint_state
from fetch_sim2real.messages.motion import (
    COMMAND,
    SentCounts,
    SetpointReport,
    decode_sent_counts,
    decode_setpoint_report,
    decode_trajectory,
    decode_trajectory_number,
    encode_command,
    encode_setpoint_report,
    encode_trajectory,
    is_refused,
)
from fetch_sim2real.messages.poses import decode_goal, encode_goal
from fetch_sim2real.messages.stamps import decode_stamp, encode_stamp
from fetch_sim2real.messages.statuses import decode_goal_status, decode_move_status
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.goals import judge_goal
from fetch_sim2real.policy.runtime import ActorPolicy, CommandRuntime, Sensed, SetpointTracker
from fetch_sim2real.policy.synchronization import FrameMessages, FramePairer, JointHistory
from fetch_sim2real.ros.entering import enter_ros
from fetch_sim2real.ros.parameters import Parameters
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.sim.disturbances.conditions import Conditions
from fetch_sim2real.sim.servos import TrajectoryFollower
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.stack.ros_arguments import check_ros_arguments
from fetch_sim2real.types import Goal, JointCommand, JointSample, JointSetpoint, RgbdFrame
from fetch_sim2real.workcell import load_workcell
from sim_bridge.fetch_robot import FetchRobot

POLICY: Final = "reach_block"
NOW_NS: Final = 1_700_000_000_000_000_000
TORSO_M: Final = 0.35
_CAMERA: Final = CameraModel(424, 240, 306.0, 306.0, 211.5, 119.5)
_CALL_ID: Final = "CALL"


@contextmanager
def all_inputs(folder: Path) -> Iterator[list[Input]]:
    """Every input, with a ROS context of its own; files are written to ``folder``, which has to exist."""
    rclpy.init()
    set_logger_level("", LoggingSeverity.FATAL)
    node = Node("mutations")
    try:
        yield [*_messages(), _rosbridge(node), _rosbridge_goals(), *_files(folder), *_texts(), _parameters()]
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


# -- messages of ROS ---------------------------------------------------------------------------------------------


def _sample() -> JointSample:
    return JointSample(NOW_NS, ARM.home_rad.copy(), np.zeros(7), 0.01)


def _messages() -> Iterator[Input]:
    rng = np.random.default_rng(0)
    rest = JointSetpoint.at_rest(ARM.home_rad)
    color = encode_color(rng.integers(0, 256, (240, 424, 3), dtype=np.uint8), NOW_NS, graph.COLOR_OPTICAL_FRAME)
    depth = encode_depth(rng.integers(300, 2000, (240, 424)).astype(np.uint16), NOW_NS, graph.COLOR_OPTICAL_FRAME)
    info = encode_camera_info(_CAMERA, NOW_NS, graph.COLOR_OPTICAL_FRAME)
    trajectory = held_until(stopping_trajectory(JointSetpoint(ARM.home_rad, np.full(7, 0.1)), np.ones(7)), 0.3)
    command = JointCommand(NOW_NS, ARM.home_rad + 1e-4, np.full(7, 0.003), 0.02)
    frame = _FrameReader(color, info, depth)

    def message(name: str, example: Any, consume: Callable[[Any], None]) -> Input:
        return Input(name, example, lambda rng: broken_message(example, rng), consume, _field_names(example))

    yield message("joint_state", encode_joint_state(_sample(), TORSO_M), _JointReader().read)
    yield message("color", color, frame.read_color)
    yield message("depth", depth, frame.read_depth)
    yield message("camera_info", info, frame.read_info)
    goals = _GoalReader()
    yield message("goal", encode_goal(goals.good), goals.read)
    yield message("command", encode_command(command), _CommandReader().read)
    report = encode_setpoint_report(SetpointReport(NOW_NS, COMMAND, rest), SentCounts(3, 1))
    yield message("setpoint", report, _read_setpoint)
    yield message("trajectory", encode_trajectory(trajectory, 7), _read_trajectory)
    yield message("move", encode_trajectory(trajectory, 0), _read_move)


def _field_names(message: Any) -> tuple[str, ...]:
    names: list[str] = []
    for field in message.get_fields_and_field_types():
        names.append(field)
        if hasattr(getattr(message, field), "get_fields_and_field_types"):
            names.extend(_field_names(getattr(message, field)))
    return tuple(names)


class _JointReader:
    """What the driver and the policy do with joint states."""

    def __init__(self) -> None:
        self._readings, self._history = RobotReadings(TORSO_M, lockstep=False), JointHistory()
        self._now_ns = NOW_NS

    def read(self, message: JointState) -> None:
        self._now_ns += 10_000_000
        if decode_stamp(message.header.stamp) == NOW_NS:  # not broken
            message = deepcopy(message)
            message.header.stamp = encode_stamp(self._now_ns)
        try:
            sample = self._readings.take(message, self._now_ns)
            if sample is not None:
                self._history.add(sample)
        finally:
            self._history.at(self._now_ns)
            self._readings.objection(self._now_ns)
            self._readings.take_clock_step()
            self._readings.report()


class _FrameReader:
    """What the policy does with the parts of a frame, up to the command."""

    def __init__(self, color: Image, info: CameraInfo, depth: Image) -> None:
        bundle = load_bundle(find_policy(POLICY))
        self._parts = {"color": color, "info": info, "depth": depth}
        self._actor = CommandRuntime(bundle.manifest, ActorPolicy(bundle), bundle.manifest.action.target_box_m)
        self._pairer = FramePairer()
        self._goal_m = (np.array(bundle.manifest.goal.lower_m) + np.array(bundle.manifest.goal.upper_m)) / 2

    def read_color(self, message: Image) -> None:
        self._read("color", message)

    def read_depth(self, message: Image) -> None:
        self._read("depth", message)

    def read_info(self, message: CameraInfo) -> None:
        self._read("info", message)

    def _read(self, part: str, message: Any) -> None:
        self._pairer.add(part, decode_stamp(message.header.stamp), message)
        self._pairer.trouble()
        parts = {**self._parts, part: message}
        frame = FrameMessages(NOW_NS, parts["color"], parts["info"], parts["depth"])
        self._actor.reset()
        pair = RgbdFrame(frame.stamp_ns, decode_color(frame.color), decode_depth(frame.depth))
        at_rest = JointSetpoint.at_rest(ARM.home_rad)
        self._actor.command(Sensed(pair, decode_camera_info(frame.info), _sample(), self._goal_m, at_rest))


class _GoalReader:
    """What the policy does with a goal."""

    def __init__(self) -> None:
        manifest = load_bundle(find_policy(POLICY)).manifest
        self._goal, self._pose = manifest.goal, manifest.camera.base_T_camera.pose()
        middle_m = (np.array(self._goal.lower_m) + np.array(self._goal.upper_m)) / 2
        self.good = Goal(self._goal.accepted_frames[0], middle_m)

    def read(self, message: PoseStamped) -> None:
        verdict = judge_goal(decode_goal(message), self._goal, self._pose)
        json.loads(verdict.text())
        if verdict.position_m is None:
            raise ObservationError(verdict.reason)


class _CommandReader:
    """What the driver does with a command while it follows them."""

    def __init__(self) -> None:
        self._profile = limit_profile(DEFAULT_PROFILE)
        self._scene = load_workcell("nominal", worlds_dir()).scene()
        self._filter = SafetyFilter(self._profile, self._scene)
        self._now_ns = NOW_NS

    def read(self, message: JointTrajectory) -> None:
        self._now_ns = NOW_NS if self._now_ns > NOW_NS + 10**9 else self._now_ns + 33_000_000
        if self._filter.state is not State.ACTIVE or self._now_ns == NOW_NS:
            self._filter = SafetyFilter(self._profile, self._scene)
            self._now_ns = NOW_NS
            self._filter.activate(self._now_ns, _sample())
        self._filter.on_joint_sample(JointSample(self._now_ns, ARM.home_rad.copy(), np.zeros(7), 0.01))
        opened = validated_command(message, 1, self._profile)
        if isinstance(opened, Refusal):
            decision = self._filter.refuse(self._now_ns, opened)
        else:
            decision = self._filter.on_command(self._now_ns, opened)
        if decision.trajectory is not None:
            for point in decision.trajectory.points:
                if not (np.all(np.isfinite(point.position)) and np.all(np.isfinite(point.velocity))):
                    raise AssertionError("the filter sends what is not finite")
        if is_refused(decision.outcome):
            raise CommandError(decision.detail)


def _read_setpoint(message: JointState) -> None:
    report = decode_setpoint_report(message)
    decode_sent_counts(message)
    SetpointTracker().on_report(report)


def _read_trajectory(message: JointTrajectory) -> None:
    decode_trajectory_number(message)
    follower = TrajectoryFollower(ARM.home_rad, 0.0)
    follower.accept(decode_trajectory(message, ARM.joint_names), 0.0)
    if not np.all(np.isfinite(follower.desired(np.array([0.1])))):
        raise AssertionError("the controller follows what is not finite")


def _read_move(message: JointTrajectory) -> None:
    follower = SlowMoveFollower(waypoints_of(message))
    follower.step(JointSetpoint.at_rest(ARM.home_rad), NOW_NS)


# -- rosbridge ---------------------------------------------------------------------------------------------------


class _FakeDriver:
    """A driver that follows commands, whatever comes."""

    def __init__(self, node: Node) -> None:
        self.node = node
        # A port that nobody listens on.
        values = _defaults() | {"rosbridge_port": 9}
        self.parameters = SimpleNamespace(
            text=values.__getitem__, whole=values.__getitem__, flag=values.__getitem__, number=values.__getitem__
        )
        self.tracking_error_rad = np.full(7, 0.2)
        self.runs_in_lockstep = self.is_simulated = False
        self.is_active = True

    def now_ns(self) -> int:
        return NOW_NS

    def post(self, work: Callable[[], None]) -> None:
        """Nothing is connected."""

    def on_joint_state(self, message: JointState) -> None:
        pass

    def on_clock(self, stamp_ns: int) -> None:
        pass

    def on_fault(self, reason: str) -> None:
        pass

    def on_lost(self, reason: str, *, then_disabled: bool = False) -> None:
        pass


class _Peer:
    """Takes the place of roslibpy's connection."""

    transport = SimpleNamespace(abortConnection=lambda: None)

    def send_ros_message(self, message: Any) -> None:
        pass


def _robot_frames() -> list[dict[str, Any]]:
    """What a Fetch says through rosbridge, one frame of each kind."""
    said: list[dict[str, Any]] = []
    arm = SimpleNamespace(start=lambda *_: None, hold=lambda: None, error_rad=lambda: np.zeros(7))
    robot = FetchRobot(
        arm, lambda _: None, lambda topic, msg: said.append({"op": "publish", "topic": topic, "msg": msg}), TORSO_M
    )
    robot.report(_sample())
    robot.publish_state()
    status = ros1.status_json("goal-1", ros1.ABORTED, "why")
    header = ros1.header_json(NOW_NS)
    for topic in (ros1.ARM_RESULT, ros1.GRIPPER_RESULT):
        result = {"header": header, "status": status, "result": {"error_code": -4}}
        said.append({"op": "publish", "topic": topic.name, "msg": result})
    listed = {"header": header, "status_list": [status]}
    said.append({"op": "publish", "topic": ros1.ARM_STATUS.name, "msg": listed})
    said.append({"op": "publish", "topic": ros1.CLOCK.name, "msg": {"clock": ros1.time_json(NOW_NS)}})
    values = {"time": ros1.time_json(NOW_NS)}
    said.append({"op": "service_response", "id": _CALL_ID, "service": ros1.GET_TIME, "values": values, "result": True})
    said.append({"op": "status", "level": "error", "msg": "no such type"})
    return said


def _rosbridge(node: Node) -> Input:
    backend = RosbridgeBackend(_FakeDriver(node))  # type: ignore[arg-type]
    link, peer, frames = backend._link, _Peer(), _robot_frames()

    def consume(frame: tuple[bytes, bool]) -> None:
        link._protocol = peer  # on a busy machine it may have been given up as silent
        backend._ask_time()
        payload = frame[0].replace(_CALL_ID.encode(), next(reversed(link._calls)).encode())
        before = backend._malformed.report()["malformed_messages"]
        link._arrived(peer, payload, frame[1])
        backend.refusal()
        backend.tick()
        report = backend.report()
        if report["malformed_messages"] != before:
            raise MessageError(str(report["malformed_last"]))

    good = (json.dumps(frames[0]).encode(), False)
    return Input("rosbridge", good, lambda rng: (broken_json(rng.choice(frames), rng), rng.random() < 0.01), consume)


def _rosbridge_goals() -> Input:
    """What the simulated robot takes from a client."""
    from sim_bridge.network import NetworkSettings
    from sim_bridge.rosbridge_port import RosbridgePort

    arm = SimpleNamespace(start=lambda *_: None, hold=lambda: None, error_rad=lambda: np.zeros(7))
    rest = held_until(stopping_trajectory(JointSetpoint.at_rest(ARM.home_rad), np.ones(7)), 0.3)
    examples = [
        (ros1.ARM_GOAL.name, ros1.arm_goal_json(rest, "driver-1", [0.2] * 7, 1.0, NOW_NS)),
        (ros1.GRIPPER_GOAL.name, ros1.gripper_goal_json(0.05, 60.0, "driver-2", NOW_NS)),
    ]
    complaints: list[str] = []
    client = SimpleNamespace(complain=complaints.append, send=lambda _: None)
    waiting: list[Any] = []

    def take() -> list[Any]:
        taken = list(waiting)
        waiting.clear()
        return taken

    server = SimpleNamespace(take=take, publish=lambda *_: None)
    port = RosbridgePort(server, NetworkSettings(), arm, lambda _: None, TORSO_M)  # type: ignore[arg-type]

    def mutant(rng: Random) -> tuple[str, Any]:
        topic, example = rng.choice(examples)
        return topic, broken_tree(example, rng)

    def consume(goal: tuple[str, Any]) -> None:
        complaints.clear()
        waiting.append((client, {"op": "publish", "topic": goal[0], "msg": goal[1]}))
        port.receive(1.0)
        port.work(1.0)
        if complaints:
            raise MessageError(complaints[0])

    return Input("rosbridge_goal", examples[0], mutant, consume)


# -- files -------------------------------------------------------------------------------------------------------


def _files(folder: Path) -> Iterator[Input]:
    def file(
        name: str, example: Any, consume: Callable[[Path], Any], fields: tuple[str, ...] = ()
    ) -> Input:
        path = folder / f"{name}.yaml"

        def read(content: bytes) -> None:
            path.write_bytes(content)
            consume(path)

        good = yaml.safe_dump(example).encode()
        return Input(name, good, lambda rng: broken_yaml(example, rng), read, fields)

    calibration = _calibration()
    yield file("calibration", calibration, load_calibration)
    yield file("intrinsics", calibration, load_intrinsics)
    k = [50.0, 0, 24, 0, 50, 18, 0, 0, 1]
    info = {"width": 48, "height": 36, "distortion_model": "plumb_bob", "d": [0.0] * 5, "k": k}
    yield file("printed_camera_info", info, load_intrinsics)
    world = load_world("randomized", worlds_dir()).model_dump(mode="json")
    yield file("world", world, lambda path: load_world(str(path), worlds_dir()).workcell.scene())
    table = {"table": {"height_m": 0.72}}
    extending = {"extends": "nominal", "name": "mine", "description": "mine", "workcell": table, "widen": 1.5}
    yield file("extending_world", extending, lambda path: load_workcell(str(path), worlds_dir()).scene())
    suite = yaml.safe_load((SUITES / "imperfect.yaml").read_text(encoding="utf-8"))
    yield file("suite", suite, lambda path: load_suite(str(path)).sha256())
    parameters = {"/**": {"ros__parameters": {"use_sim_time": False}}, "arm_driver": {"ros__parameters": _defaults()}}
    yield file("parameter_file", parameters, _read_parameter_file)
    yield _bundle(folder)
    yield from _bags(folder)


def _read_parameter_file(path: Path) -> None:
    """What a node does before it is one."""
    arguments = ["--ros-args", "--params-file", str(path)]
    check_ros_arguments(arguments)
    context = rclpy.Context()
    enter_ros(arguments, context)
    rclpy.shutdown(context=context)


def _defaults() -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in DRIVER_TABLE}


def _calibration() -> dict[str, Any]:
    manifest = load_bundle(find_policy(POLICY)).manifest
    return {
        "format_version": 1,
        "base_T_camera": manifest.camera.base_T_camera.model_dump(mode="json"),
        "intrinsics": {
            "width": 48, "height": 36, "fx": 50.0, "fy": 50.0, "cx": 23.5, "cy": 17.5, "distortion": [0.0] * 5,
        },
        "date": "2026-01-01",
        "method": "measured",
        "residual": {"rms": 0.1, "unit": "px", "points": 4},
    }  # fmt: skip


def _bundle(folder: Path) -> Input:
    """Half of the mutants have hashes that fit what they hold, so that the hashes are not all that is tried."""
    source, copy = find_policy(POLICY), folder / "bundle"
    files = {path.name: path.read_bytes() for path in source.iterdir() if path.is_file()}
    copy.mkdir()
    manifest_name = "manifest.json"
    example = json.loads(files[manifest_name])

    def mutant(rng: Random) -> dict[str, bytes]:
        broken = dict(files)
        name = rng.choice((manifest_name, *files))
        if name == manifest_name:
            broken[name] = broken_json(example, rng)
        else:
            broken[name] = broken_bytes(files[name], rng)
        return broken if rng.random() < 0.5 else _rehashed(broken, manifest_name)

    def consume(broken: dict[str, bytes]) -> None:
        for name, content in broken.items():
            (copy / name).write_bytes(content)
        load_bundle(copy)

    return Input("bundle", files, mutant, consume)


def _rehashed(files: dict[str, bytes], manifest_name: str) -> dict[str, bytes]:
    try:
        manifest = json.loads(files[manifest_name])
        for name in manifest["files"]:
            manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
        manifest["manifest_sha256"] = ""
        empty = (json.dumps(manifest, indent=2) + "\n").encode()
        manifest["manifest_sha256"] = hashlib.sha256(empty).hexdigest()
    except (ValueError, KeyError, TypeError):
        return files
    return {**files, manifest_name: (json.dumps(manifest, indent=2) + "\n").encode()}


def _bags(folder: Path) -> Iterator[Input]:
    for name, make in (("bag_mcap", _write_mcap), ("bag_sqlite", _write_sqlite)):
        bag = folder / name
        make(bag)
        (data,) = (path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
        yield _bag(name, bag, data)


def _bag(name: str, bag: Path, data: Path) -> Input:
    files = {path: path.read_bytes() for path in (data, bag / "metadata.yaml")}

    def mutant(rng: Random) -> dict[Path, bytes]:
        path = data if rng.random() < 0.8 else bag / "metadata.yaml"
        return {**files, path: broken_bytes(files[path], rng)}

    def consume(broken: dict[Path, bytes]) -> None:
        for path, content in broken.items():
            path.write_bytes(content)
        opened = open_bag(bag)
        for _ in opened.decoded_messages([topic.name for topic in graph.RECORDED]):
            pass
        survey(opened)

    return Input(name, files, mutant, consume)


def _bag_messages() -> Iterator[tuple[graph.Topic, int, bytes]]:
    from rclpy.serialization import serialize_message

    for index in range(6):
        stamp_ns = NOW_NS + index * 33_000_000
        pixels = np.full((12, 16, 3), index, np.uint8)
        yield graph.COLOR, stamp_ns, serialize_message(encode_color(pixels, stamp_ns, graph.COLOR_OPTICAL_FRAME))
        depth_mm = np.full((12, 16), 700, np.uint16)
        yield graph.DEPTH, stamp_ns, serialize_message(encode_depth(depth_mm, stamp_ns, graph.COLOR_OPTICAL_FRAME))
        yield graph.COLOR_INFO, stamp_ns, serialize_message(encode_camera_info(_CAMERA, stamp_ns, "camera"))
        yield graph.JOINT_STATES, stamp_ns, serialize_message(encode_joint_state(_sample(), TORSO_M))
        command = JointCommand(stamp_ns, ARM.home_rad, np.zeros(7), 0.02)
        yield graph.JOINT_COMMAND, stamp_ns, serialize_message(encode_command(command))
        report = SetpointReport(stamp_ns, COMMAND, JointSetpoint.at_rest(ARM.home_rad))
        yield graph.SETPOINT, stamp_ns, serialize_message(encode_setpoint_report(report, SentCounts(1)))


def _write_mcap(folder: Path) -> None:
    from rosbags.rosbag2 import StoragePlugin

    _write_bag(folder, 9, StoragePlugin.MCAP)


def _write_sqlite(folder: Path) -> None:
    from rosbags.rosbag2 import StoragePlugin

    _write_bag(folder, 8, StoragePlugin.SQLITE3)


def _write_bag(folder: Path, version: int, plugin: Any) -> None:
    from rosbags.rosbag2 import Writer
    from rosbags.typesys import Stores, get_typestore

    store, messages = get_typestore(Stores.ROS2_JAZZY), list(_bag_messages())
    with Writer(folder, version=version, storage_plugin=plugin) as writer:
        connections = {
            topic.name: writer.add_connection(topic.name, topic.type, typestore=store)
            for topic in {topic for topic, _, _ in messages}
        }
        for topic, received_ns, data in messages:
            writer.write(connections[topic.name], received_ns, data)


# -- texts and parameters ----------------------------------------------------------------------------------------


def _texts() -> Iterator[Input]:
    def text(name: str, example: Any, consume: Callable[[str], Any]) -> Input:
        return Input(
            name,
            json.dumps(example).encode(),
            lambda rng: broken_json(example, rng),
            lambda content: consume(content.decode("utf-8", "replace")),
        )

    faults = {"perturb": ["move_block"], "faults": {"extra_latency_ms": 20.0}}
    yield text("conditions", faults, Conditions.from_text)
    told = {"file": "calibration.yaml", "calibration": _calibration()}
    yield text("told_calibration", told, CalibrationInForce.told)
    yield text("told_box", [[0.5, -0.2, 0.7], [0.7, 0.2, 0.9]], box_told)
    verdict = {"accepted": True, "reason": "", "frame_id": "base_link", "position_m": [0.6, 0.0, 0.8]}
    yield text("goal_status", verdict, decode_goal_status)
    yield text("move_status", {"state": "moving", "reason": ""}, decode_move_status)


def _parameters() -> Input:
    good = _defaults()

    def mutant(rng: Random) -> dict[str, Any]:
        broken = deepcopy(good)
        for _ in range(rng.randint(1, 2)):
            name = rng.choice((*good, "sped_scale", "", "/"))
            broken[name] = rng.choice(ODD_VALUES)
        return broken

    def consume(values: dict[str, Any]) -> None:
        given = {name: SimpleNamespace(value=value) for name, value in values.items()}
        node = SimpleNamespace(
            _parameter_overrides=given,
            declare_parameter=lambda *_args, **_options: None,
            get_parameter=lambda _: SimpleNamespace(value=False),
            add_on_set_parameters_callback=lambda _: None,
        )
        Parameters(node, DRIVER_TABLE)

    return Input("parameters", good, mutant, consume)
