"""What can be chosen about a graph: each option once, for launch files, commands and nodes alike.

An option whose default or meaning is another one on a robot, or at a node, is derived here with ``but``, so that the
difference can be seen. Nodes have parameters of their own beside these: those are in their ``settings``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fetch_sim2real import paths
from fetch_sim2real.arm.limits import DEFAULT_PROFILE, PROFILES
from fetch_sim2real.common.option import Option, declared
from fetch_sim2real.graph import JOINT_TRAJECTORY
from fetch_sim2real.policy.actor_runtime import ACTOR_RUNTIMES, TORCH, ActorRuntime
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LOOK_RATES, LookRate
from fetch_sim2real.rosbridge.topics import DEFAULT_PORT
from fetch_sim2real.stack.backends import BUILT_IN, backend_names
from fetch_sim2real.stack.heartbeat import HEARTBEATS
from fetch_sim2real.tasks.registry import task_names

CAMERA_SIZES: Final = {"424x240@30": (424, 240), "640x480@30": (640, 480)}  # width, height [pixels]
CAMERAS: Final = tuple(CAMERA_SIZES)
DEFAULT_CAMERA_SIZE: Final = CAMERA_SIZES[CAMERAS[0]]
# Where a graph's RGB-D pairs come from: sim_bridge's renders as they are; the same renders through the RealSense SDK's
# software device; a camera on this machine; or a node that is none of this project's, such as realsense2_camera.
CAMERA_SIM: Final = "sim"
CAMERA_SOFTWARE: Final = "software-device"
CAMERA_REALSENSE: Final = "realsense"
CAMERA_EXTERNAL: Final = "external"
CAMERA_SOURCES: Final = (CAMERA_SIM, CAMERA_SOFTWARE, CAMERA_REALSENSE, CAMERA_EXTERNAL)
LIVE: Final = "live"
SHADOW: Final = "shadow"
MODES: Final = (LIVE, SHADOW)
MAX_SEED: Final = 2**31 - 1
_LONGEST_DELAY_S: Final = 1.0

# ---- policy ----------------------------------------------------------------------------------------------------------

POLICY: Final = Option("policy", "reach_block", "Name of a shipped policy bundle, or the folder of one.")
LOOK: Final[Option[LookRate]] = Option(
    "look", EVERY_FRAME, "When the actor sees; all but every frame are baselines.", choices=LOOK_RATES
)
RUNTIME: Final[Option[ActorRuntime]] = Option(
    "runtime",
    TORCH,
    "What computes the actor: torch; or onnx, ONNX Runtime with one thread (the extra 'onnx'), which computes imported "
    "networks in any case.",
    choices=ACTOR_RUNTIMES,
)
CALIBRATION: Final = Option(
    "calibration", "", "Calibration file of the camera, for goals in its frame; empty: where it was in training."
)
SCENES_POLICY: Final = POLICY.but(
    default="", description="Bundle that says where the camera is as long as no calibration does; empty: none."
)
SCENES_CALIBRATION: Final = CALIBRATION.but(
    description="Calibration file of the camera; empty: the one that the policy node says it uses, if any."
)
AWAIT_START: Final = Option(
    "await_start", False, "true: the policy holds until it is told to start; false: it acts on a goal."
)

# ---- world and simulation --------------------------------------------------------------------------------------------

WORLD: Final = Option(
    "world",
    "nominal",
    f"World: a shipped one's name ({', '.join(paths.world_names())}), or a YAML file. For a robot, one with its table, "
    "workspace and torso height.",
)
# What a policy knows of the driver's bounds.
DRIVERS_WORLD: Final = Option(
    "world",
    "",
    "The driver's world, to aim the gripper within: a name, or a YAML file; empty: the policy's own bounds alone.",
)
BRIDGES_TASK: Final = Option("task", "reach_block", "Task: decides starts, goals and success.", choices=task_names())
TASK: Final = BRIDGES_TASK.but(
    default="",
    description="Task: decides starts, goals and success; empty takes the one that the policy was trained for.",
    choices=("", *task_names()),
)
SCENES_WORLD: Final = DRIVERS_WORLD.but(
    description="World whose table and workspace are drawn: a name, or a YAML file; empty: none."
)
CAMERA_PROFILE: Final = Option("camera_profile", CAMERAS[0], "Size and rate of the camera.", choices=CAMERAS)
# A camera on this machine stamps by the wall clock, which a simulated robot does not live by.
CAMERA_SOURCE: Final = Option(
    "camera_source",
    CAMERA_SIM,
    "Where RGB-D comes from: sim, straight from the bridge; software-device, through the RealSense SDK and "
    "camera_node; external, from a node of yours.",
    choices=(CAMERA_SIM, CAMERA_SOFTWARE, CAMERA_EXTERNAL),
)
ROBOTS_CAMERA: Final = CAMERA_SOURCE.but(
    name="camera",
    default=CAMERA_REALSENSE,
    description="realsense: this launch opens the camera; external: another node publishes it, realsense2_camera for "
    "example; sim: the simulation stands in for robot and camera; software-device: the same, its pictures by way of "
    "the RealSense SDK.",
    choices=(CAMERA_REALSENSE, CAMERA_EXTERNAL, CAMERA_SIM, CAMERA_SOFTWARE),
)
SERIAL_NO: Final = Option(
    "serial_no", "", "realsense: serial number, written _0123456789; empty takes the only camera there is."
)
ROSBAG_FILENAME: Final = Option(
    "rosbag_filename", "", "realsense: play this recording of the SDK (.bag, .db3) instead of opening a camera."
)
LOCKSTEP: Final = Option(
    "lockstep",
    True,
    "Whether the world waits for the policy: same seed, same episode, on any machine. Otherwise it runs against the "
    "wall clock, as a robot does.",
)
# Nodes that nobody tells run against the clock.
NODES_LOCKSTEP: Final = LOCKSTEP.but(default=False)
REALTIME_FACTOR: Final = Option(
    "realtime_factor",
    1.0,
    "Without lockstep: pace as a multiple of the wall clock's; below 1 for a machine that cannot follow.",
    low=0.05,
    high=1.0,
)
SEED: Final = Option("seed", 0, "Seed of the first episode; the others follow.", low=0, high=MAX_SEED, changeable=True)
MOVE_BLOCK: Final = Option("move_block", False, "Put the block elsewhere during the episode.", changeable=True)
ENGINE: Final = Option(
    "engine",
    "mujoco",
    "What does physics and pictures: mujoco, which policies are trained in; or drake (an extra), with options after a "
    "colon, as in drake:hydroelastic,pbr.",
)
CONDITIONS: Final = Option(
    "conditions",
    "",
    "Unplanned changes and injected faults as JSON (docs/evaluation.md); empty for none.",
    changeable=True,
)
BLANK_IMAGE: Final = Option(
    "blank_image", False, "Control experiment: show the policy black images without depth.", changeable=True
)
EPISODE_S: Final = Option(
    "episode_s", 0.0, "Length of an episode; 0 takes the world's own.", "s", low=0.0, high=86400.0
)
ACK_TIMEOUT_S: Final = Option(
    "ack_timeout_s",
    10.0,
    "Lockstep: how long the world waits for the driver's answer before the run fails.",
    "s",
    low=0.1,
    high=600.0,
)

# ---- driver ----------------------------------------------------------------------------------------------------------

PROFILE: Final = Option("profile", DEFAULT_PROFILE, "Limit profile of the commanded motion.", choices=tuple(PROFILES))
SPEED_SCALE: Final = Option(
    "speed_scale",
    1.0,
    "Cap on the arm's speed, as a share of the profile's; takes effect at once, while the arm is active only "
    "downwards.",
    low=0.01,
    high=1.0,
    changeable=True,
)
ROBOTS_SPEED_SCALE: Final = SPEED_SCALE.but(default=0.25)
MODE: Final = Option(
    "mode",
    LIVE,
    "live: the arm moves; shadow: everything runs and nothing is sent to the arm, only published under ~/shadow.",
    choices=MODES,
)
# Nothing moves by default.
ROBOTS_MODE: Final = MODE.but(default=SHADOW)
HEARTBEAT: Final = Option(
    "heartbeat",
    HEARTBEATS[0],
    "Who has to be there while the arm moves on a robot (docs/safety.md). operator: whoever enables, as fetch-sim2real "
    "operate does; launch: the process that started the driver; off: nobody.",
    choices=HEARTBEATS,
)
BACKEND: Final = Option(
    "backend",
    JOINT_TRAJECTORY,
    "Way to the robot: ROS 2 trajectory topics, a stock Fetch's rosbridge_server, or what another package adds.",
    choices=backend_names(),
)
# Another package's back end reaches a robot of its own, which the simulation cannot stand in for.
SIM_BACKEND: Final = BACKEND.but(
    description="Way to the simulated robot: ROS 2 trajectory topics, or rosbridge as on a stock Fetch.",
    choices=BUILT_IN,
)
ROSBRIDGE_HOST: Final = Option(
    "rosbridge_host", "127.0.0.1", "rosbridge: the machine that rosbridge_server runs on, the Fetch."
)
ROSBRIDGE_PORT: Final = Option("rosbridge_port", DEFAULT_PORT, "rosbridge: its port.", low=1, high=65535)
SIM_ROSBRIDGE_PORT: Final = ROSBRIDGE_PORT.but(
    description="rosbridge: port of the simulated robot's, on this machine alone; 0: any.", low=0
)
ROSBRIDGE_LATENCY_S: Final = Option(
    "rosbridge_latency_s", 0.0, "rosbridge: simulated delay of each way.", "s", low=0.0, high=_LONGEST_DELAY_S
)
ROSBRIDGE_JITTER_S: Final = Option(
    "rosbridge_jitter_s", 0.0, "rosbridge: that delay varies by up to this.", "s", low=0.0, high=_LONGEST_DELAY_S
)
ROSBRIDGE_LOSS: Final = Option(
    "rosbridge_loss", 0.0, "rosbridge, without lockstep: share of the messages that are lost.", low=0.0, high=1.0
)

# ---- bags ------------------------------------------------------------------------------------------------------------

RECORD: Final = Option("record", "", "Folder for a bag of everything, which must not exist yet; empty records nothing.")
RECORD_METADATA: Final = Option(
    "record_metadata", "{}", "JSON object of texts to store in the bag: what was run, with which policy."
)
OUTPUT: Final = Option("output", "", "Folder of the bag, made by the recorder; it must not exist yet.")
RECORDERS_METADATA: Final = RECORD_METADATA.but(name="metadata")
COMPRESS: Final = Option("compress", True, "Compress with zstd: a fraction of the size for a few percent of a core.")
ALSO: Final = Option(
    "also",
    "/tf /tf_static /rosout /robot_state",
    "Topics to record beside the graph's, as soon as somebody publishes them; spaces between.",
)
BAG: Final = Option("bag", "", "Bag to play: a folder, the folder of a run, or one .mcap or .db3 file.")
RATE: Final = Option("rate", 1.0, "How fast, as a multiple of the recorder's pace.", low=0.01, high=100.0)
START_S: Final = Option("start_s", 0.0, "Leave out what was recorded before this.", "s", low=0.0, high=1e6)
LOOP: Final = Option("loop", False, "Whether to begin again at the end, until Ctrl-C.")
RENAME: Final = Option(
    "rename", "", "Topics with another name in the bag: /joint_states:=/fetch/joint_states; spaces between."
)

# ---- tools that draw -------------------------------------------------------------------------------------------------

SCENE: Final = Option(
    "scene", False, "Publish the robot's description, frames and markers too, for RViz and Foxglove (docs/view.md)."
)

# ---- names -----------------------------------------------------------------------------------------------------------

NAMESPACE: Final = Option("namespace", "", "Namespace of all nodes and topics, for a second robot in the same network.")
PARAMS_FILE: Final = Option(
    "params_file", "", "ROS parameter file whose values replace those that are set here; see docs/parameters.md."
)
REMAP: Final = Option("remap", "", "Names that are different on your robot: FROM:=TO, several separated by spaces.")


@dataclass(frozen=True)
class SimGraphOptions:
    """What can be chosen about the simulated graph: the arguments of ``launch/sim.launch.py``."""

    policy: str = declared(POLICY)
    task: str = declared(TASK)
    world: str = declared(WORLD)
    engine: str = declared(ENGINE)
    camera: str = declared(CAMERA_SOURCE)
    camera_profile: str = declared(CAMERA_PROFILE)
    lockstep: bool = declared(LOCKSTEP)
    realtime_factor: float = declared(REALTIME_FACTOR)
    seed: int = declared(SEED)
    move_block: bool = declared(MOVE_BLOCK)
    conditions: str = declared(CONDITIONS)
    look: LookRate = declared(LOOK)
    runtime: ActorRuntime = declared(RUNTIME)
    blank_image: bool = declared(BLANK_IMAGE)
    episode_s: float = declared(EPISODE_S)
    ack_timeout_s: float = declared(ACK_TIMEOUT_S)
    profile: str = declared(PROFILE)
    speed_scale: float = declared(SPEED_SCALE)
    mode: str = declared(MODE)
    heartbeat: str = declared(HEARTBEAT)
    backend: str = declared(SIM_BACKEND)
    rosbridge_port: int = declared(SIM_ROSBRIDGE_PORT)
    rosbridge_latency_s: float = declared(ROSBRIDGE_LATENCY_S)
    rosbridge_jitter_s: float = declared(ROSBRIDGE_JITTER_S)
    rosbridge_loss: float = declared(ROSBRIDGE_LOSS)
    await_start: bool = declared(AWAIT_START)
    calibration: str = declared(CALIBRATION)
    scene: bool = declared(SCENE)
    record: str = declared(RECORD)
    record_metadata: str = declared(RECORD_METADATA)


@dataclass(frozen=True)
class RobotGraphOptions:
    """What can be chosen about the graph on a robot: ``launch/robot.launch.py``. Nothing moves by the defaults."""

    policy: str = declared(POLICY)
    runtime: ActorRuntime = declared(RUNTIME)
    mode: str = declared(ROBOTS_MODE)
    heartbeat: str = declared(HEARTBEAT)
    camera: str = declared(ROBOTS_CAMERA)
    backend: str = declared(BACKEND)
    rosbridge_host: str = declared(ROSBRIDGE_HOST)
    rosbridge_port: int = declared(ROSBRIDGE_PORT)
    world: str = declared(WORLD)
    profile: str = declared(PROFILE)
    speed_scale: float = declared(ROBOTS_SPEED_SCALE)
    camera_profile: str = declared(CAMERA_PROFILE)
    serial_no: str = declared(SERIAL_NO)
    rosbag_filename: str = declared(ROSBAG_FILENAME)
    lockstep: bool = declared(NODES_LOCKSTEP)
    calibration: str = declared(CALIBRATION)
    scene: bool = declared(SCENE)
    record: str = declared(RECORD)


@dataclass(frozen=True)
class RecordOptions:
    """What ``launch/record.launch.py`` takes: a graph that runs already is recorded."""

    output: str = declared(OUTPUT.but(default="bag"))
    metadata: str = declared(RECORDERS_METADATA)
    compress: bool = declared(COMPRESS)
    also: str = declared(ALSO)


@dataclass(frozen=True)
class PlaybackOptions:
    """What ``launch/playback.launch.py`` takes: a bag is played back to a policy."""

    bag: str = declared(BAG.but(default="bag"))
    policy: str = declared(POLICY)
    look: LookRate = declared(LOOK)
    runtime: ActorRuntime = declared(RUNTIME)
    rate: float = declared(RATE)
    start_s: float = declared(START_S)
    loop: bool = declared(LOOP)
    rename: str = declared(RENAME)
    calibration: str = declared(CALIBRATION)
    world: str = declared(DRIVERS_WORLD)
    scene: bool = declared(SCENE)
    record: str = declared(RECORD)


@dataclass(frozen=True)
class PlacementOptions:
    """Where a graph's names are and what a user's own parameter file says. Part of every launch file."""

    namespace: str = declared(NAMESPACE)
    params_file: str = declared(PARAMS_FILE)
    remap: str = declared(REMAP)
