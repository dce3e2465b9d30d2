"""The processes of each graph, once, as data: simulated, on a robot, played back, recorded.

The launch files and ``launcher.py`` are made from them. What can be chosen is in ``options.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fetch_sim2real import graph, paths
from fetch_sim2real.common.option import Value, require_valid
from fetch_sim2real.errors import GraphError
from fetch_sim2real.graph import ROSBRIDGE
from fetch_sim2real.stack.options import (
    ALSO,
    CAMERA_EXTERNAL,
    CAMERA_REALSENSE,
    CAMERA_SIM,
    CAMERA_SOFTWARE,
    CAMERA_SOURCES,
    CAMERAS,
    PlacementOptions,
    PlaybackOptions,
    RecordOptions,
    RobotGraphOptions,
    SimGraphOptions,
)
from fetch_sim2real.stack.ros_arguments import read_parameter_file
from fetch_sim2real.tasks.registry import require_task_name

ROS_PACKAGE: Final = "fetch_sim2real"
WORLD_SUFFIXES: Final = (".yaml", ".yml")
_NAMESPACE: Final = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")

# Every process of the stack needs it, and so does every other process that exchanges images with it.
ENVIRONMENT: Final[Mapping[str, str]] = {graph.FASTDDS_TRANSPORT_VARIABLE: graph.FASTDDS_TRANSPORT}

# Nodes that are part of the library; the others are packages of their own name.
_LIBRARY_NODES: Final = (graph.RECORDER, graph.BAG_PLAYER, graph.SCENE_PUBLISHER)


def node_package(executable: str) -> str:
    """Return the Python package of a node's executable."""
    return f"fetch_sim2real.ros.{executable}" if executable in _LIBRARY_NODES else executable


@dataclass(frozen=True)
class NodeProcess:
    """One process that holds one node.

    ``executable`` is at once the name of the console script and of the executable of the ROS package; ``module`` is
    what it runs. If a ``required`` process ends, the whole graph is brought down. Processes are
    stopped in ascending ``stop_rank``: the driver comes last, so that it brakes the arm once commands cease.
    ``parameter_file`` is a ROS parameter file whose values come after ``parameters`` and replace them; ``remappings``
    are pairs of names as ROS takes them.
    """

    executable: str
    node_name: str
    parameters: Mapping[str, Value]
    stop_rank: int
    required: bool = True
    environment: Mapping[str, str] = field(default_factory=lambda: dict(ENVIRONMENT))
    namespace: str = ""
    remappings: tuple[tuple[str, str], ...] = ()
    parameter_file: str = ""

    @property
    def module(self) -> str:
        """What ``python -m`` runs."""
        return f"{node_package(self.executable)}.main"


def sim_graph(options: SimGraphOptions) -> tuple[NodeProcess, ...]:
    """Return the processes of the simulated graph.

    Raises ``SetupError`` for an unknown policy, ``GraphError`` for an impossible choice.
    """
    require_valid(options)
    cameras = camera_processes(options.camera, options.camera_profile)
    if options.lockstep and options.rosbridge_loss > 0.0:
        raise GraphError("lockstep waits for every message, so that none can be lost: choose real time")
    if options.lockstep and options.realtime_factor != 1.0:
        raise GraphError("lockstep follows no wall clock, so realtime_factor says nothing to it: choose real time")
    world = absolute_world(options.world)
    folder = paths.find_policy(options.policy).resolve()
    task = require_task_name(options.task or paths.policy_task(folder))
    policy = NodeProcess(
        executable="policy_node",
        node_name=graph.POLICY_NODE,
        parameters={
            "use_sim_time": True,
            "policy": str(folder),
            "world": world,
            "look": options.look,
            "runtime": options.runtime,
            "await_start": options.await_start,
            "calibration": absolute_file(options.calibration),
        },
        stop_rank=0,
    )
    bridge = NodeProcess(
        executable="sim_bridge",
        node_name=graph.SIM_BRIDGE,
        parameters={
            "task": task,
            "world": world,
            "camera": options.camera_profile,
            "camera_source": options.camera,
            "lockstep": options.lockstep,
            "realtime_factor": options.realtime_factor,
            "seed": options.seed,
            "move_block": options.move_block,
            "engine": options.engine,
            "conditions": options.conditions,
            "blank_image": options.blank_image,
            "episode_s": options.episode_s,
            "ack_timeout_s": options.ack_timeout_s,
            "backend": options.backend,
            "rosbridge_port": options.rosbridge_port,
            "rosbridge_latency_s": options.rosbridge_latency_s,
            "rosbridge_jitter_s": options.rosbridge_jitter_s,
            "rosbridge_loss": options.rosbridge_loss,
        },
        stop_rank=1,
    )
    driver = NodeProcess(
        executable="arm_driver",
        node_name=graph.ARM_DRIVER,
        parameters={
            "use_sim_time": True,
            "lockstep": options.lockstep,
            "backend": options.backend,
            "rosbridge_host": "127.0.0.1",  # the bridge binds to nothing else
            "rosbridge_port": options.rosbridge_port,
            "world": world,
            "profile": options.profile,
            "speed_scale": options.speed_scale,
            "mode": options.mode,
            "heartbeat": options.heartbeat,
        },
        stop_rank=2,
    )
    # The slowest to start first: it has the longest way to its first answer.
    processes = (policy, bridge, *cameras, driver, *_scene_processes(options.scene, policy))
    if not options.record:
        return processes
    return (*processes, recorder_process(options.record, options.record_metadata))


def robot_graph(options: RobotGraphOptions) -> tuple[NodeProcess, ...]:
    """Return the processes on a robot, or the simulated graph with the same policy, driver and recorder.

    Raises ``SetupError`` for an unknown policy, ``GraphError`` for an impossible choice.
    """
    require_valid(options)
    _require_meant(options)
    if options.camera in (CAMERA_SIM, CAMERA_SOFTWARE):
        return sim_graph(
            SimGraphOptions(
                policy=options.policy,
                runtime=options.runtime,
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
                scene=options.scene,
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
            "runtime": options.runtime,
            "world": absolute_world(options.world),
            "await_start": True,
            "calibration": absolute_file(options.calibration),
        },
        stop_rank=0,
    )
    address: dict[str, Value] = {
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
    return (policy, *cameras, driver, *_scene_processes(options.scene, policy), *recorder)


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


def playback_graph(options: PlaybackOptions) -> tuple[NodeProcess, ...]:
    """Return policy, player and, if asked for, recorder; the end of the player is the end of the graph.

    No driver is among them: nothing can move.

    Raises ``SetupError`` for an unknown policy, ``GraphError`` for an impossible choice.
    """
    require_valid(options)
    policy = NodeProcess(
        executable="policy_node",
        node_name=graph.POLICY_NODE,
        parameters={
            # The recording's time, which the player publishes.
            "use_sim_time": True,
            "policy": str(paths.find_policy(options.policy).resolve()),
            "look": options.look,
            "runtime": options.runtime,
            "calibration": absolute_file(options.calibration),
            "world": absolute_world(options.world) if options.world else "",
            "await_start": False,
        },
        stop_rank=0,
    )
    player = NodeProcess(
        executable="bag_player",
        node_name=graph.BAG_PLAYER,
        parameters={
            "bag": str(paths.expanded(options.bag).absolute()),
            "rate": options.rate,
            "start_s": options.start_s,
            "loop": options.loop,
            "rename": options.rename,
            "await_recorder": bool(options.record),
        },
        stop_rank=1,
    )
    processes = (policy, player, *_scene_processes(options.scene, policy))
    if not options.record:
        return processes
    # Last, so that it hears what the others say at their end.
    return (*processes, replace(recorder_process(options.record), stop_rank=2))


def record_graph(options: RecordOptions) -> tuple[NodeProcess, ...]:
    """Return the recorder alone."""
    return (recorder_process(options.output, options.metadata, options.compress, options.also),)


def camera_processes(
    source: str, camera: str = CAMERAS[0], serial_no: str = "", rosbag_filename: str = ""
) -> tuple[NodeProcess, ...]:
    """Return the processes that publish the camera's topics: none if ``source`` is the bridge or external.

    ``source`` is one of ``CAMERA_SOURCES``, ``camera`` one of ``CAMERAS``. ``serial_no`` chooses among several cameras,
    ``rosbag_filename`` plays a recording of the SDK instead; both only with ``realsense``. Raises ``GraphError`` for an
    impossible choice.
    """
    if camera not in CAMERAS:
        raise GraphError(f"camera profile is '{camera}', available: {', '.join(CAMERAS)}")
    if source not in CAMERA_SOURCES:
        raise GraphError(f"camera source is '{source}', available: {', '.join(CAMERA_SOURCES)}")
    if source in (CAMERA_SIM, CAMERA_EXTERNAL):
        return ()
    profile = camera.replace("@", "x")  # as realsense2_camera writes it
    parameters: dict[str, Value] = {
        "source": source,
        "rgb_camera.color_profile": profile,
        "depth_module.depth_profile": profile,
    }
    if source == CAMERA_SOFTWARE:
        parameters["use_sim_time"] = True
    else:
        parameters |= {"serial_no": serial_no, "rosbag_filename": rosbag_filename}
    return (NodeProcess("camera_node", graph.CAMERA_NODE, parameters, stop_rank=1),)


def recorder_process(
    folder: str, metadata: str = "{}", compress: bool = True, also: str = ALSO.default
) -> NodeProcess:
    """Return the process that records the graph into ``folder``."""
    return NodeProcess(
        executable="recorder",
        node_name=graph.RECORDER,
        parameters={
            "output": str(paths.expanded(folder).absolute()),
            "metadata": metadata,
            "compress": compress,
            "also": also,
        },
        stop_rank=1,
    )


def _scene_processes(wanted: bool, policy: NodeProcess) -> tuple[NodeProcess, ...]:
    """The process that publishes for tools that draw, if it is ``wanted``. Its end is the end of nothing else."""
    if not wanted:
        return ()
    # What the policy takes the camera and the table to be is what is drawn.
    parameters = {name: policy.parameters[name] for name in ("policy", "world", "calibration")}
    return (NodeProcess("scene_publisher", graph.SCENE_PUBLISHER, parameters, stop_rank=1, required=False),)


def normal_namespace(text: str) -> str:
    """Return ``/left`` for ``left``, empty for none. ``GraphError`` for what is no namespace."""
    if not text.strip("/"):
        return ""
    if not _NAMESPACE.fullmatch(text.rstrip("/")):
        raise GraphError(f"namespace is '{text}', expected letters, digits, _ and / like: left_robot")
    return f"/{text.strip('/')}"


def placed(processes: Sequence[NodeProcess], options: PlacementOptions) -> tuple[NodeProcess, ...]:
    """Return ``processes`` in a namespace, with remaps and a parameter file. ``GraphError`` for what cannot be meant,
    ``RosArgumentError`` for a parameter file that ROS would not take."""
    normal_namespace(options.namespace)
    remappings = []
    for rule in options.remap.split():
        source, separator, target = rule.partition(":=")
        if not (source and separator and target):
            raise GraphError(f"remap has '{rule}', expected FROM:=TO: remap:='joint_states:=/fetch/joint_states'")
        remappings.append((source, target))
    file = paths.expanded(options.params_file).absolute() if options.params_file else None
    if file is not None:
        read_parameter_file(file)
    return tuple(
        replace(
            process,
            namespace=options.namespace,
            remappings=(*process.remappings, *remappings),
            parameter_file="" if file is None else str(file),
        )
        for process in processes
    )


def absolute_world(name_or_path: str) -> str:
    """Return a world's name as it is, a path made absolute: the nodes may run in another folder."""
    if name_or_path.endswith(WORLD_SUFFIXES):
        return str(paths.expanded(name_or_path).absolute())
    return name_or_path


def absolute_file(path: str) -> str:
    """Return a path made absolute, as for worlds; empty stays empty."""
    return str(paths.expanded(path).absolute()) if path else ""
