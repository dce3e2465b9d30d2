"""The processes on a robot, as data; one choice, ``camera`` sim, puts the simulation in place of robot and camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fetch_sim2real import graph, paths
from fetch_sim2real.arm.limits import DEFAULT_PROFILE
from fetch_sim2real.errors import GraphError
from fetch_sim2real.robot_backends import JOINT_TRAJECTORY, ROSBRIDGE, backend_names
from fetch_sim2real.rosbridge.topics import DEFAULT_PORT
from fetch_sim2real.stack.heartbeat import HEARTBEATS
from fetch_sim2real.stack.launch_arguments import BOOLEANS, Meaning, require_choices
from fetch_sim2real.stack.processes import (
    CAMERA_EXTERNAL,
    CAMERA_REALSENSE,
    CAMERA_SIM,
    CAMERA_SOFTWARE,
    CAMERAS,
    MEANINGS,
    MODES,
    NodeProcess,
    SimGraphOptions,
    absolute_file,
    absolute_world,
    camera_processes,
    recorder_process,
    sim_graph,
)

ROBOT_CAMERAS: Final = (CAMERA_REALSENSE, CAMERA_EXTERNAL, CAMERA_SIM, CAMERA_SOFTWARE)
SHADOW: Final = MODES[1]


@dataclass(frozen=True)
class RobotGraphOptions:
    """What can be chosen about the graph on a robot. The defaults here are the only ones, and nothing moves by them."""

    policy: str = "reach_block"
    mode: str = SHADOW
    heartbeat: str = HEARTBEATS[0]
    camera: str = ROBOT_CAMERAS[0]
    backend: str = JOINT_TRAJECTORY
    rosbridge_host: str = "127.0.0.1"
    rosbridge_port: int = DEFAULT_PORT
    world: str = "nominal"
    profile: str = DEFAULT_PROFILE
    speed_scale: float = 0.25
    camera_profile: str = CAMERAS[0]
    serial_no: str = ""
    rosbag_filename: str = ""
    lockstep: bool = False
    calibration: str = ""
    record: str = ""


ROBOT_MEANINGS: Final[Mapping[str, Meaning]] = {
    "policy": MEANINGS["policy"],
    "mode": Meaning("shadow: everything runs and nothing is sent to the arm; live: the arm moves.", MODES),
    "heartbeat": MEANINGS["heartbeat"],
    "camera": Meaning(
        "realsense: this launch opens the camera; external: another node publishes it, realsense2_camera for example; "
        "sim: the simulation stands in for robot and camera; software-device: the same, its pictures by way of the "
        "RealSense SDK.",
        ROBOT_CAMERAS,
    ),
    "backend": Meaning(
        "Way to the robot: ROS 2 trajectory topics, a stock Fetch's rosbridge_server, or what another package adds.",
        backend_names(),
    ),
    "rosbridge_host": Meaning("rosbridge: the machine that rosbridge_server runs on, the Fetch."),
    "rosbridge_port": Meaning("rosbridge: its port."),
    "world": Meaning("World file with your table, workspace and torso height: a name, or a YAML file."),
    "profile": MEANINGS["profile"],
    "speed_scale": MEANINGS["speed_scale"],
    "camera_profile": Meaning("Size and rate of the camera that this launch opens or simulates.", CAMERAS),
    "serial_no": Meaning("realsense: serial number, written _0123456789; empty takes the only camera there is."),
    "rosbag_filename": Meaning("realsense: play this recording of the SDK instead of opening a camera."),
    "lockstep": Meaning("sim: the world waits for the policy. A robot does not wait: leave it false there.", BOOLEANS),
    "calibration": MEANINGS["calibration"],
    "record": MEANINGS["record"],
}


def robot_graph(options: RobotGraphOptions) -> tuple[NodeProcess, ...]:
    """The processes on a robot, or the simulated graph with the same policy, driver and recorder.

    Raises ``SetupError`` for an unknown policy, ``GraphError`` for an impossible choice.
    """
    require_choices(options, ROBOT_MEANINGS)
    _require_meant(options)
    if options.camera in (CAMERA_SIM, CAMERA_SOFTWARE):
        return sim_graph(
            SimGraphOptions(
                policy=options.policy,
                world=options.world,
                camera=options.camera,
                camera_profile=options.camera_profile,
                lockstep=options.lockstep,
                backend=options.backend,
                profile=options.profile,
                speed_scale=options.speed_scale,
                mode=options.mode,
                heartbeat=options.heartbeat,
                await_start=True,
                calibration=options.calibration,
                record=options.record,
            )
        )
    if options.lockstep:
        raise GraphError(f"lockstep is true, but with camera:={options.camera} time is real: leave it out")
    policy = NodeProcess(
        executable="policy_node",
        node_name=graph.POLICY_NODE,
        # On a robot a goal alone starts nothing.
        parameters={
            "policy": str(paths.find_policy(options.policy).resolve()),
            "world": absolute_world(options.world),
            "await_start": True,
            "calibration": absolute_file(options.calibration),
        },
        stop_rank=0,
    )
    address: dict[str, int | float | str] = {
        "rosbridge_host": options.rosbridge_host,
        "rosbridge_port": options.rosbridge_port,
    }
    way = address if options.backend == ROSBRIDGE else {}
    driver = NodeProcess(
        executable="arm_driver",
        node_name=graph.ARM_DRIVER,
        parameters={
            "backend": options.backend,
            **way,
            "world": absolute_world(options.world),
            "profile": options.profile,
            "speed_scale": options.speed_scale,
            "mode": options.mode,
            "heartbeat": options.heartbeat,
        },
        stop_rank=2,
    )
    cameras = camera_processes(options.camera, options.camera_profile, options.serial_no, options.rosbag_filename)
    recorder = (recorder_process(options.record),) if options.record else ()
    return (policy, *cameras, driver, *recorder)


def _require_meant(options: RobotGraphOptions) -> None:
    """GraphError for what would be ignored in silence."""
    default = RobotGraphOptions()
    for needed, value, names in (
        ("camera", CAMERA_REALSENSE, ("serial_no", "rosbag_filename")),
        ("backend", ROSBRIDGE, ("rosbridge_host", "rosbridge_port")),
    ):
        chosen = getattr(options, needed)
        for name in names:
            if chosen != value and getattr(options, name) != getattr(default, name):
                raise GraphError(
                    f"{name} is '{getattr(options, name)}', but {needed} is '{chosen}': it is of use with "
                    f"{needed}:={value} alone, leave it out"
                )


@dataclass(frozen=True)
class RecordOptions:
    """What ``launch/record.launch.py`` takes: a graph that runs already is recorded."""

    output: str = "bag"
    metadata: str = "{}"
    compress: bool = True


RECORD_MEANINGS: Final[Mapping[str, Meaning]] = {
    "output": Meaning("Folder for the bag, which must not exist yet."),
    "metadata": Meaning("JSON object of texts that is stored in the bag."),
    "compress": Meaning("Compress with zstd.", BOOLEANS),
}


def record_graph(options: RecordOptions) -> tuple[NodeProcess, ...]:
    """The recorder alone."""
    return (recorder_process(options.output, options.metadata, options.compress),)
