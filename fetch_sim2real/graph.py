"""The ROS graph's contract: every topic, type, QoS, frame, rate and node name has its single source here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from fetch_sim2real.timing import CONTROL_RATE_HZ, JOINT_STATE_EVERY_STEPS, PHYSICS_STEPS_PER_PERIOD

POLICY_NODE: Final = "policy_node"
ARM_DRIVER: Final = "arm_driver"
SIM_BRIDGE: Final = "sim_bridge"
CAMERA_NODE: Final = "camera_node"
RECORDER: Final = "recorder"
BAG_PLAYER: Final = "bag_player"
ROBOT: Final = "robot"  # the robot itself, or the bridge in its place
CAMERA: Final = "camera"  # a camera node, or the bridge in its place
OPERATOR: Final = "operator"
CHECK_GRAPH: Final = "check_graph"
VIEW: Final = "view"
SCENE_PUBLISHER: Final = "scene_publisher"
VIEWERS: Final = "viewers"  # RViz, Foxglove and the like
# Nodes that subscribe to what moves a robot and move none.
LISTENERS: Final = frozenset(
    {RECORDER, OPERATOR, CHECK_GRAPH, VIEW, SCENE_PUBLISHER, "rosbag2_recorder", "foxglove_bridge"}
)
_ROS_TOOLS: Final = ("_ros2cli", "rqt_gui", "plotjuggler")
# What the middleware says of a node before it has heard its name.
UNKNOWN_NODE: Final = "_NODE_NAME_UNKNOWN_"

# This package's ways from the driver to a robot; others can add theirs (stack/backends.py).
JOINT_TRAJECTORY: Final = "joint_trajectory"
ROSBRIDGE: Final = "rosbridge"

COLOR_OPTICAL_FRAME: Final = "camera_color_optical_frame"
DEPTH_OPTICAL_FRAME: Final = "camera_depth_optical_frame"
BASE_FRAME: Final = "base_link"
BLOCK_FRAME: Final = "block"  # goals that are offsets from the block, along the axes of base_link

# Fast DDS' defaults lose every large best-effort image: their shared memory is too small. Both ends of a connection
# need this setting. Tried and no good: LARGE_DATA leaves, in about one start of six, some node without some topic for
# good; a max_msg_size above 64 kB cuts 60 bytes off an image of unlucky content, off the same one every time.
FASTDDS_TRANSPORT_VARIABLE: Final = "FASTDDS_BUILTIN_TRANSPORTS"
FASTDDS_TRANSPORT: Final = "DEFAULT?sockets_size=8MB"


@dataclass(frozen=True)
class Qos:
    """Reliability, history depth and durability of one end of a topic."""

    reliability: Literal["reliable", "best_effort"]
    depth: int
    durability: Literal["volatile", "transient_local"] = "volatile"


RELIABLE_1: Final = Qos("reliable", 1)
RELIABLE_5: Final = Qos("reliable", 5)
RELIABLE_100: Final = Qos("reliable", 100)
BEST_EFFORT_1: Final = Qos("best_effort", 1)
LATCHED: Final = Qos("reliable", 1, "transient_local")


# By how much a rate may differ from the contract's where the topic has no range of its own.
RATE_TOLERANCE: Final = 0.2


@dataclass(frozen=True)
class Topic:
    """One topic: its name, message type, who publishes, who subscribes, and how.

    ``rate_hz`` is the simulation's; ``rate_range_hz`` what robots may have, where that is more than some tolerance.
    ``stamped_as``: the topic whose messages of the same moment bear the same stamps.
    """

    name: str
    type: str
    publisher: str
    subscribers: tuple[str, ...]
    publish: Qos
    subscribe: Qos
    frame_id: str | None = None
    rate_hz: float | None = None
    simulation_only: bool = False
    rate_range_hz: tuple[float, float] | None = None
    stamped_as: str | None = None

    @property
    def allowed_hz(self) -> tuple[float, float] | None:
        """Lowest and highest rate that keeps the contract; None where it promises none."""
        if self.rate_range_hz is not None or self.rate_hz is None:
            return self.rate_range_hz
        return (1 - RATE_TOLERANCE) * self.rate_hz, (1 + RATE_TOLERANCE) * self.rate_hz

    @property
    def rate_text(self) -> str:
        """The rate for people; empty where none is promised."""
        if self.rate_range_hz is not None:
            return "{:g} to {:g} Hz".format(*self.rate_range_hz)
        return "" if self.rate_hz is None else f"{self.rate_hz:g} Hz"


COLOR: Final = Topic(
    "/camera/camera/color/image_raw", "sensor_msgs/msg/Image", CAMERA, (POLICY_NODE,),
    RELIABLE_5, BEST_EFFORT_1, COLOR_OPTICAL_FRAME, CONTROL_RATE_HZ,
)  # fmt: skip
COLOR_INFO: Final = Topic(
    "/camera/camera/color/camera_info", "sensor_msgs/msg/CameraInfo", CAMERA, (POLICY_NODE,),
    RELIABLE_5, BEST_EFFORT_1, COLOR_OPTICAL_FRAME, CONTROL_RATE_HZ, stamped_as=COLOR.name,
)  # fmt: skip
DEPTH: Final = Topic(
    "/camera/camera/aligned_depth_to_color/image_raw", "sensor_msgs/msg/Image", CAMERA, (POLICY_NODE,),
    RELIABLE_5, BEST_EFFORT_1, COLOR_OPTICAL_FRAME, CONTROL_RATE_HZ, stamped_as=COLOR.name,
)  # fmt: skip
DEPTH_INFO: Final = Topic(
    "/camera/camera/aligned_depth_to_color/camera_info", "sensor_msgs/msg/CameraInfo", CAMERA, (),
    RELIABLE_5, BEST_EFFORT_1, COLOR_OPTICAL_FRAME, CONTROL_RATE_HZ,
)  # fmt: skip
# A Fetch reports its arm at about 100 Hz, other arms at up to 1000. Slower, and no sample is near enough to a frame.
JOINT_STATES: Final = Topic(
    "/joint_states", "sensor_msgs/msg/JointState", ROBOT, (POLICY_NODE, ARM_DRIVER), RELIABLE_100, RELIABLE_100,
    None, CONTROL_RATE_HZ * PHYSICS_STEPS_PER_PERIOD / JOINT_STATE_EVERY_STEPS, rate_range_hz=(80.0, 2000.0),
)  # fmt: skip
# Where a robot has it. Not in the contract: an arm on a table has none, and neither has the simulated robot.
ODOMETRY: Final = Topic(
    "/odom", "nav_msgs/msg/Odometry", ROBOT, (ARM_DRIVER,), RELIABLE_5, BEST_EFFORT_1
)
GOAL: Final = Topic(
    "/policy/goal", "geometry_msgs/msg/PoseStamped", OPERATOR, (POLICY_NODE,), RELIABLE_1, RELIABLE_1
)
# The policy's answer to a goal: accepted or refused with a reason (std_msgs/String, JSON).
GOAL_STATUS: Final = Topic(
    "/policy/goal_status", "std_msgs/msg/String", POLICY_NODE, (OPERATOR,), RELIABLE_5, RELIABLE_5
)
# Waypoints of a slow move of the arm [rad], the first where it begins; the driver follows them while the policy holds.
MOVE: Final = Topic(
    f"/{ARM_DRIVER}/move", "trajectory_msgs/msg/JointTrajectory", OPERATOR, (ARM_DRIVER,), RELIABLE_1, RELIABLE_1
)
# What became of the move (std_msgs/String, JSON): moving, done, or ended with a reason.
MOVE_STATUS: Final = Topic(
    f"/{ARM_DRIVER}/move_status", "std_msgs/msg/String", ARM_DRIVER, (OPERATOR,), RELIABLE_5, RELIABLE_5
)
# What the fields of commands, setpoints and trajectories mean: messages/motion.py.
JOINT_COMMAND: Final = Topic(
    "/joint_command", "trajectory_msgs/msg/JointTrajectory", POLICY_NODE, (ARM_DRIVER,), RELIABLE_1, RELIABLE_1,
    None, CONTROL_RATE_HZ,
)  # fmt: skip
# The driver's answer to every command: what became of it, and the commanded state of the arm at the end of the period,
# from which the policy integrates.
SETPOINT: Final = Topic(
    "/arm_driver/setpoint", "sensor_msgs/msg/JointState", ARM_DRIVER, (POLICY_NODE,), RELIABLE_5, RELIABLE_5,
    None, CONTROL_RATE_HZ,
)  # fmt: skip
ARM_TRAJECTORY: Final = Topic(
    "/arm_controller/joint_trajectory", "trajectory_msgs/msg/JointTrajectory", ARM_DRIVER, (ROBOT,),
    RELIABLE_1, RELIABLE_1, None, CONTROL_RATE_HZ,
)  # fmt: skip
GRIPPER_TRAJECTORY: Final = Topic(
    "/gripper_controller/joint_trajectory", "trajectory_msgs/msg/JointTrajectory", ARM_DRIVER, (ROBOT,),
    RELIABLE_1, RELIABLE_1,
)  # fmt: skip
# Whoever enables the driver says here, several times a second and each under a name of its own, that it is still there.
HEARTBEAT: Final = Topic(
    f"/{ARM_DRIVER}/heartbeat", "std_msgs/msg/String", OPERATOR, (ARM_DRIVER,), RELIABLE_5, RELIABLE_5
)
DIAGNOSTICS: Final = Topic(
    "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", "*", (OPERATOR,), RELIABLE_5, RELIABLE_5
)
CLOCK: Final = Topic(
    "/clock", "rosgraph_msgs/msg/Clock", SIM_BRIDGE, (POLICY_NODE, ARM_DRIVER), RELIABLE_5, RELIABLE_5,
    simulation_only=True,
)  # fmt: skip
# Lockstep: the driver echoes a clock tick once it has dealt with it.
DRIVER_TICK: Final = Topic(
    "/sim/driver_tick", "rosgraph_msgs/msg/Clock", ARM_DRIVER, (SIM_BRIDGE,), RELIABLE_5, RELIABLE_5,
    simulation_only=True,
)  # fmt: skip
# Ground truth, for tests and evaluation only.
SIM_BLOCK_POSE: Final = Topic(
    "/sim/block_pose", "geometry_msgs/msg/PoseStamped", SIM_BRIDGE, (), RELIABLE_5, RELIABLE_5, BASE_FRAME,
    simulation_only=True,
)  # fmt: skip
# A goal that changes on the way: the operator states it on /policy/goal and, once it is accepted, calls SIM_RESUME.
SIM_GOAL: Final = Topic(
    "/sim/goal", "geometry_msgs/msg/PoseStamped", SIM_BRIDGE, (OPERATOR,), RELIABLE_5, RELIABLE_5, simulation_only=True
)
SIM_OUTCOME: Final = Topic(
    "/sim/outcome", "std_msgs/msg/String", SIM_BRIDGE, (OPERATOR,), RELIABLE_5, RELIABLE_5, simulation_only=True
)

CONTRACT: Final[tuple[Topic, ...]] = (
    COLOR, COLOR_INFO, DEPTH, DEPTH_INFO, JOINT_STATES, GOAL, GOAL_STATUS, MOVE, MOVE_STATUS, JOINT_COMMAND, SETPOINT,
    ARM_TRAJECTORY, GRIPPER_TRAJECTORY, HEARTBEAT, DIAGNOSTICS, CLOCK, DRIVER_TICK, SIM_BLOCK_POSE, SIM_GOAL,
    SIM_OUTCOME,
)  # fmt: skip

# The same for all robots of a network, whatever namespace they are in.
GLOBAL_NAMES: Final = frozenset({DIAGNOSTICS.name, CLOCK.name})

# What a driver in shadow mode would have sent to the robot. The bags hold it, the contract does not ask for it.
SHADOW_ARM: Final = Topic(
    "/arm_driver/shadow/arm_trajectory", "trajectory_msgs/msg/JointTrajectory", ARM_DRIVER, (),
    RELIABLE_1, RELIABLE_1, None, CONTROL_RATE_HZ,
)  # fmt: skip
SHADOW_GRIPPER: Final = Topic(
    "/arm_driver/shadow/gripper_trajectory", "trajectory_msgs/msg/JointTrajectory", ARM_DRIVER, (),
    RELIABLE_1, RELIABLE_1,
)  # fmt: skip
# What the operator does and how a run went (std_msgs/String, JSON), for the bag. Kept for a recorder that begins later.
OPERATOR_EVENTS: Final = Topic(
    "/operator/events", "std_msgs/msg/String", OPERATOR, (),
    Qos("reliable", 100, "transient_local"), Qos("reliable", 100, "transient_local"),
)  # fmt: skip
RECORDED: Final[tuple[Topic, ...]] = (*CONTRACT, SHADOW_ARM, SHADOW_GRIPPER, OPERATOR_EVENTS)
# Between the bridge and what stands for the camera, if that is another node: what the colour camera and the depth
# sensor beside it see, not aligned. Not in the contract: a robot has nothing like it, and a bag would double.
SIM_COLOR: Final = Topic(
    "/sim/camera/color/image_raw", "sensor_msgs/msg/Image", SIM_BRIDGE, (CAMERA_NODE,),
    RELIABLE_5, RELIABLE_5, COLOR_OPTICAL_FRAME, CONTROL_RATE_HZ, simulation_only=True,
)  # fmt: skip
SIM_COLOR_INFO: Final = Topic(
    "/sim/camera/color/camera_info", "sensor_msgs/msg/CameraInfo", SIM_BRIDGE, (CAMERA_NODE,),
    RELIABLE_5, RELIABLE_5, COLOR_OPTICAL_FRAME, CONTROL_RATE_HZ, simulation_only=True,
)  # fmt: skip
SIM_DEPTH: Final = Topic(
    "/sim/camera/depth/image_rect_raw", "sensor_msgs/msg/Image", SIM_BRIDGE, (CAMERA_NODE,),
    RELIABLE_5, RELIABLE_5, DEPTH_OPTICAL_FRAME, CONTROL_RATE_HZ, simulation_only=True,
)  # fmt: skip
SIM_DEPTH_INFO: Final = Topic(
    "/sim/camera/depth/camera_info", "sensor_msgs/msg/CameraInfo", SIM_BRIDGE, (CAMERA_NODE,),
    RELIABLE_5, RELIABLE_5, DEPTH_OPTICAL_FRAME, CONTROL_RATE_HZ, simulation_only=True,
)  # fmt: skip
SIM_CAMERA: Final[tuple[Topic, ...]] = (SIM_COLOR, SIM_COLOR_INFO, SIM_DEPTH, SIM_DEPTH_INFO)

# For tools that draw, of scene_publisher alone. Not in the contract: nothing that moves the robot needs it.
ROBOT_DESCRIPTION: Final = Topic(
    "/robot_description", "std_msgs/msg/String", SCENE_PUBLISHER, (VIEWERS,), LATCHED, LATCHED
)
TF: Final = Topic("/tf", "tf2_msgs/msg/TFMessage", SCENE_PUBLISHER, (VIEWERS,), RELIABLE_100, RELIABLE_100)
TF_STATIC: Final = Topic("/tf_static", "tf2_msgs/msg/TFMessage", SCENE_PUBLISHER, (VIEWERS,), LATCHED, LATCHED)
MARKERS: Final = Topic(
    f"/{SCENE_PUBLISHER}/markers", "visualization_msgs/msg/MarkerArray", SCENE_PUBLISHER, (VIEWERS,), LATCHED, LATCHED,
    BASE_FRAME,
)  # fmt: skip
SCENE: Final[tuple[Topic, ...]] = (ROBOT_DESCRIPTION, TF, TF_STATIC, MARKERS)

# Controllers take goals by action too. Nothing here sends any; who does is a second commander.
ROBOT_ACTIONS: Final = ("/arm_controller/follow_joint_trajectory", "/gripper_controller/gripper_action")

# Services (std_srvs/srv/Trigger); private names live under their node.
DRIVER_ENABLE: Final = f"/{ARM_DRIVER}/enable"
DRIVER_DISABLE: Final = f"/{ARM_DRIVER}/disable"
DRIVER_STOP: Final = f"/{ARM_DRIVER}/stop"
DRIVER_RESET: Final = f"/{ARM_DRIVER}/reset"
POLICY_RESET: Final = f"/{POLICY_NODE}/reset"  # forget goal, history and recurrent state
POLICY_START: Final = f"/{POLICY_NODE}/start"  # act on the goal
POLICY_HOLD: Final = f"/{POLICY_NODE}/hold"  # answer every frame with a hold until started
SIM_RESET: Final = "/sim/reset"  # seed comes from the bridge's parameter `seed`; the answer's message is JSON
SIM_PAUSE: Final = "/sim/pause"
SIM_RESUME: Final = "/sim/resume"


def only_listens(node_name: str) -> bool:
    """Return whether a node of this name moves nothing, whatever it subscribes to: the project's own, and ROS's
    tools.
    """
    return node_name in LISTENERS or node_name.startswith(_ROS_TOOLS)


def contract_with(backend: str) -> tuple[Topic, ...]:
    """Return the contract where the driver reaches the robot by ``backend``.

    Trajectories are on topics with ``joint_trajectory`` alone. Through rosbridge the driver publishes the joint states
    that come that way.
    """
    if backend == JOINT_TRAJECTORY:
        return CONTRACT
    joint_states = replace(JOINT_STATES, publisher=ARM_DRIVER, subscribers=(POLICY_NODE,))
    clock = replace(CLOCK, subscribers=(POLICY_NODE,))
    gone = (ARM_TRAJECTORY, GRIPPER_TRAJECTORY)
    ours = {JOINT_STATES.name: joint_states, CLOCK.name: clock} if backend == ROSBRIDGE else {}
    return tuple(ours.get(topic.name, topic) for topic in CONTRACT if topic not in gone)
