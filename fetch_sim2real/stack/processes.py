"""The processes of the simulated graph, once, as data: the launch files and ``launcher.py`` are made from it.

Those on a robot are in ``robot_processes.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fetch_sim2real import graph, paths
from fetch_sim2real.arm.limits import DEFAULT_PROFILE, PROFILES
from fetch_sim2real.errors import GraphError
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LOOK_RATES, LookRate
from fetch_sim2real.robot_backends import BUILT_IN
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.stack.heartbeat import HEARTBEATS
from fetch_sim2real.stack.launch_arguments import BOOLEANS, Argument, Meaning, arguments_of, options_of, require_choices
from fetch_sim2real.stack.ros_arguments import read_parameter_file
from fetch_sim2real.tasks.registry import TASKS, find_task

ROS_PACKAGE: Final = "fetch_sim2real"
CAMERAS: Final = ("424x240@30", "640x480@30")
# Where a graph's RGB-D pairs come from: sim_bridge's renders as they are; the same renders through the RealSense SDK's
# software device; a camera on this machine; or a node that is none of this project's, such as realsense2_camera.
CAMERA_SIM: Final = "sim"
CAMERA_SOFTWARE: Final = "software-device"
CAMERA_REALSENSE: Final = "realsense"
CAMERA_EXTERNAL: Final = "external"
CAMERA_SOURCES: Final = (CAMERA_SIM, CAMERA_SOFTWARE, CAMERA_REALSENSE, CAMERA_EXTERNAL)
# A camera on this machine stamps by the wall clock, which a simulated robot does not live by.
SIM_CAMERA_SOURCES: Final = (CAMERA_SIM, CAMERA_SOFTWARE, CAMERA_EXTERNAL)
MODES: Final = ("live", "shadow")
_NAMESPACE: Final = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
# Another package's back end reaches a robot of its own, which the simulation cannot stand in for.
SIM_BACKENDS: Final = BUILT_IN
WORLD_SUFFIXES: Final = (".yaml", ".yml")

# Every process of the stack needs it, and so does every other process that exchanges images with it.
ENVIRONMENT: Final[Mapping[str, str]] = {graph.FASTDDS_TRANSPORT_VARIABLE: graph.FASTDDS_TRANSPORT}

# Nodes that are part of the library; the others are packages of their own name.
_LIBRARY_NODES: Final = (graph.RECORDER, graph.BAG_PLAYER)

ParameterValue = bool | int | float | str


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
    parameters: Mapping[str, ParameterValue]
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


@dataclass(frozen=True)
class SimGraphOptions:
    """What can be chosen about the simulated graph. The defaults here are the only ones.

    ``policy`` is the name of a shipped bundle or a folder, ``task`` empty for the one it was trained for, ``world`` the
    name of a shipped world or a YAML file.
    ``conditions`` are those of ``sim.conditions`` as text, ``look`` says when the actor sees.
    ``episode_s`` 0 means the world's own. ``record`` is the folder of the bag, empty for none; ``record_metadata``
    a JSON text that the recorder puts into it.
    """

    policy: str = "reach_block"
    task: str = ""
    world: str = "nominal"
    camera: str = CAMERA_SIM
    camera_profile: str = CAMERAS[0]
    lockstep: bool = True
    realtime_factor: float = 1.0
    seed: int = 0
    move_block: bool = False
    conditions: str = ""
    look: LookRate = EVERY_FRAME
    blank_image: bool = False
    episode_s: float = 0.0
    ack_timeout_s: float = 10.0
    profile: str = DEFAULT_PROFILE
    speed_scale: float = 1.0
    mode: str = MODES[0]
    heartbeat: str = HEARTBEATS[0]
    backend: str = SIM_BACKENDS[0]
    rosbridge_port: int = ros1.DEFAULT_PORT
    rosbridge_latency_s: float = 0.0
    rosbridge_jitter_s: float = 0.0
    rosbridge_loss: float = 0.0
    await_start: bool = False
    calibration: str = ""
    record: str = ""
    record_metadata: str = "{}"


def sim_graph(options: SimGraphOptions) -> tuple[NodeProcess, ...]:
    """The processes of the simulated graph.

    Raises ``SetupError`` for an unknown policy, ``GraphError`` for an impossible choice.
    """
    require_choices(options, MEANINGS)
    cameras = camera_processes(options.camera, options.camera_profile)
    if options.lockstep and options.rosbridge_loss > 0.0:
        raise GraphError("lockstep waits for every message, so that none can be lost: choose real time")
    if options.lockstep and options.realtime_factor != 1.0:
        raise GraphError("lockstep follows no wall clock, so realtime_factor says nothing to it: choose real time")
    world = absolute_world(options.world)
    folder = paths.find_policy(options.policy).resolve()
    task = find_task(options.task or paths.policy_task(folder)).name
    policy = NodeProcess(
        executable="policy_node",
        node_name=graph.POLICY_NODE,
        parameters={
            "use_sim_time": True,
            "policy": str(folder),
            "world": world,
            "look": options.look,
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
    processes = (policy, bridge, *cameras, driver)
    if not options.record:
        return processes
    return (*processes, recorder_process(options.record, options.record_metadata))


def camera_processes(
    source: str, camera: str = CAMERAS[0], serial_no: str = "", rosbag_filename: str = ""
) -> tuple[NodeProcess, ...]:
    """The processes that publish the camera's topics, for any graph: none if ``source`` is the bridge or external.

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
    parameters: dict[str, ParameterValue] = {
        "source": source,
        "rgb_camera.color_profile": profile,
        "depth_module.depth_profile": profile,
    }
    if source == CAMERA_SOFTWARE:
        parameters["use_sim_time"] = True
    else:
        parameters |= {"serial_no": serial_no, "rosbag_filename": rosbag_filename}
    return (NodeProcess("camera_node", graph.CAMERA_NODE, parameters, stop_rank=1),)


def recorder_process(folder: str, metadata: str = "{}", compress: bool = True) -> NodeProcess:
    """Records the graph into ``folder``."""
    return NodeProcess(
        executable="recorder",
        node_name=graph.RECORDER,
        parameters={"output": str(paths.expanded(folder).absolute()), "metadata": metadata, "compress": compress},
        stop_rank=1,
    )


@dataclass(frozen=True)
class PlacementOptions:
    """Where a graph's names are and what a user's own parameter file says. Part of every launch file."""

    namespace: str = ""
    params_file: str = ""
    remap: str = ""


PLACEMENT_MEANINGS: Final[Mapping[str, Meaning]] = {
    "namespace": Meaning("Namespace of all nodes and topics, for a second robot in the same network."),
    "params_file": Meaning("ROS parameter file whose values replace those that are set here; see docs/parameters.md."),
    "remap": Meaning("Names that are different on your robot: FROM:=TO, several separated by spaces."),
}


def normal_namespace(text: str) -> str:
    """``/left`` for ``left``, empty for none. ``GraphError`` for what is no namespace."""
    if not text.strip("/"):
        return ""
    if not _NAMESPACE.fullmatch(text.rstrip("/")):
        raise GraphError(f"namespace is '{text}', expected letters, digits, _ and / like: left_robot")
    return f"/{text.strip('/')}"


def placed(processes: Sequence[NodeProcess], options: PlacementOptions) -> tuple[NodeProcess, ...]:
    """``processes`` in a namespace, with remaps and a parameter file. ``GraphError`` for what cannot be meant,
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
    """A world's name as it is, a path made absolute: the nodes may run in another folder."""
    if name_or_path.endswith(WORLD_SUFFIXES):
        return str(paths.expanded(name_or_path).absolute())
    return name_or_path


def absolute_file(path: str) -> str:
    """A path made absolute, as for worlds; empty stays empty."""
    return str(paths.expanded(path).absolute()) if path else ""


MEANINGS: Final[Mapping[str, Meaning]] = {
    "policy": Meaning("Name of a shipped policy bundle, or the folder of one."),
    "task": Meaning("Task; empty takes the one that the policy was trained for.", ("", *TASKS)),
    "world": Meaning(f"Name of a shipped world ({', '.join(paths.world_names())}), or a YAML file."),
    "camera": Meaning(
        "sim: the bridge publishes the camera's topics; software-device: camera_node does, by way of the RealSense "
        "SDK's software device; external: a node of yours does.",
        SIM_CAMERA_SOURCES,
    ),
    "camera_profile": Meaning("Size and rate of the simulated camera.", CAMERAS),
    "lockstep": Meaning(
        "true: the world waits for the policy, so that results do not depend on the machine; false: it runs against "
        "the wall clock.",
        BOOLEANS,
    ),
    "realtime_factor": Meaning(
        "Without lockstep: pace as a multiple of the wall clock's; below 1 for a machine that cannot follow."
    ),
    "seed": Meaning("Seed of the first episode."),
    "move_block": Meaning("Put the block elsewhere during the episode.", BOOLEANS),
    "conditions": Meaning("Unplanned changes and injected faults as JSON (docs/evaluation.md); empty for none."),
    "look": Meaning("When the actor sees; all but every frame are baselines.", LOOK_RATES),
    "blank_image": Meaning("Control experiment: publish black images without depth.", BOOLEANS),
    "episode_s": Meaning("Length of an episode [s]; 0 takes the world's own."),
    "ack_timeout_s": Meaning("Lockstep: how long [s] the world waits for the driver's answer before the run fails."),
    "profile": Meaning("Limit profile of the arm driver.", tuple(PROFILES)),
    "speed_scale": Meaning("Cap on the arm's speed, as a share of the profile's, in (0, 1]."),
    "mode": Meaning("live: the arm moves; shadow: the driver only publishes what it would have sent.", MODES),
    "heartbeat": Meaning(
        "Who has to be there while the arm moves on a robot (docs/safety.md). operator: whoever enables, as "
        "fetch-sim2real operate does; launch: this launch; off: nobody.",
        HEARTBEATS,
    ),
    "backend": Meaning("Way from the driver to the robot.", SIM_BACKENDS),
    "rosbridge_port": Meaning("Port, on this machine alone, of the simulated robot's rosbridge."),
    "rosbridge_latency_s": Meaning("Simulated delay [s] of each way through rosbridge."),
    "rosbridge_jitter_s": Meaning("That delay varies by up to this [s]."),
    "rosbridge_loss": Meaning("Share of the messages through rosbridge that are lost."),
    "await_start": Meaning("true: the policy holds until it is told to start; false: it acts on a goal.", BOOLEANS),
    "calibration": Meaning("Calibration file of the camera, for goals in its frame; empty: where it was in training."),
    "record": Meaning("Folder for a bag of everything, which must not exist yet; empty records nothing."),
    "record_metadata": Meaning("JSON text that is stored in the bag."),
}


def sim_arguments() -> tuple[Argument, ...]:
    """Arguments of ``launch/sim.launch.py``: one for each field of ``SimGraphOptions``."""
    return arguments_of(SimGraphOptions, MEANINGS)


def options_from_arguments(values: Mapping[str, str]) -> SimGraphOptions:
    """Options from the text values of ``sim_arguments``. Raises ``GraphError`` for a wrong value."""
    return options_of(SimGraphOptions, MEANINGS, values)
