"""Starts node processes for tests, talks to them, and ends them whatever happens.

ROS domain and transport come from ``conftest.py``, which sets them for the whole session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.option import Value
from fetch_sim2real.common.supervision import Patience, Supervisor
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.perception.observe import Observation, ScaledValue, make_observation_spec
from fetch_sim2real.perception.preprocess import Image, ImageSpec
from fetch_sim2real.policy.bundle import PolicyBundle, save_bundle
from fetch_sim2real.policy.golden import record_golden
from fetch_sim2real.policy.manifest import (
    ActionRecord,
    CameraRecord,
    GoalRecord,
    LatencyRecord,
    ManifestContent,
    PoseRecord,
    TrainingRecord,
)
from fetch_sim2real.policy.network import ActorSpec, ConvLayer, MemorySpec, build_actor
from fetch_sim2real.ros.heartbeat import Heartbeat
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.simulation_client import SimulationClient
from fetch_sim2real.ros.topics import message_class, qos_profile
from fetch_sim2real.stack.launcher import launch
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.stack.processes import NodeProcess, sim_graph

START_LIMIT_S = 90.0
# A name for a node that stands for commander and robot: of an operator nobody expects that it moves.
RIG_NODE = "test_rig"
# Connecting a client takes longer than calling it.
_CLIENTS: WeakKeyDictionary[Node, dict[str, Client]] = WeakKeyDictionary()


def write_untrained_bundle(
    folder: Path, profile: str = "default", memory: MemorySpec | None = None, last_actions: int = 2
) -> PolicyBundle:
    """A bundle whose actor looks at everything and moves with purpose, but has learned nothing."""
    image = ImageSpec(size=84, fov_deg=35.0, depth_near_m=0.5, depth_far_m=1.8, channels="rgbd")
    spec = ActorSpec(
        conv=(ConvLayer(channels=8, kernel=5, stride=2), ConvLayer(channels=16, kernel=3, stride=2)),
        coordinate_channels=False,
        auxiliary=tuple(ScaledValue(name=f"block_{axis}", centre=0.0, scale=0.1) for axis in "xyz"),
        latent=3,
        relative_features=(),
        memory=memory,
        hidden=(32,),
        layer_norm=True,
        activation="relu",
        squash="tanh",
        sure_of=(),
        refine=0,
    )
    observation = make_observation_spec(
        image,
        proprioception=True,
        last_actions=last_actions,
        goal_centre_m=(0.0, 0.0, 0.12),
        goal_scale_m=(0.1, 0.1, 0.1),
        grip_centre_m=(0.63, 0.0, 0.87),
        grip_scale_m=(0.1, 0.1, 0.1),
    )
    content = ManifestContent(
        format_version=8,
        task="reach_block",
        actor=spec,
        observation=observation,
        camera=CameraRecord(
            base_T_camera=PoseRecord.of(Pose.looking_at((1.0, 0.64, 1.5), (0.63, 0.0, 0.77))),
            position_range_m=(0.0, 0.0, 0.0),
            rotation_range_rad=0.0,
        ),
        goal=GoalRecord(
            frame=graph.BLOCK_FRAME,
            accepted_frames=(graph.BLOCK_FRAME,),
            lower_m=(-0.06, -0.06, 0.06),
            upper_m=(0.06, 0.06, 0.18),
        ),
        joint_order=ARM.joint_names,
        action=ActionRecord(
            scale_m=0.02, gripper="controlled", lower_m=(0.47, -0.31, 0.755), upper_m=(0.81, 0.31, 0.99)
        ),
        control_rate_hz=30,
        limit_profile=profile,
        latency=LatencyRecord(camera_s=(0.0, 0.1), command_s=(0.0, 0.02)),
        torso_height_m=0.35,
        training=TrainingRecord(command="none", seed=0, code_version="0", steps=0, world_file="nominal"),
        success=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(4)
        actor = build_actor(spec, observation)
        with torch.no_grad():
            actor.head.out.weight *= 2.0
    actor.eval()
    rng = np.random.default_rng(0)
    sample = Observation(
        Image(rng.integers(0, 255, (84, 84, 3), dtype=np.uint8), rng.integers(500, 1800, (84, 84)).astype(np.uint16)),
        rng.standard_normal(observation.vector_size).astype(np.float32),
    )
    return save_bundle(folder, content, actor, record_golden(actor, [sample], [True]))


class Tap:
    """Keeps every message of a topic, however slowly this process gets to it."""

    def __init__(self, session: RosSession, topic: graph.Topic) -> None:
        self.messages: list[Any] = []
        deep = graph.Qos("reliable", 50 if topic.type.endswith("Image") else 2000)
        session.node.create_subscription(message_class(topic.type), topic.name, self.messages.append, qos_profile(deep))

    def names(self) -> list[str]:
        """``header.frame_id`` of all messages: for setpoints, the driver's decisions."""
        return [message.header.frame_id for message in self.messages]


@dataclass
class SimulatedGraph:
    """A running simulated graph, and this process' connections to it."""

    supervisor: Supervisor
    session: RosSession
    operator: SimulationClient
    taps: dict[graph.Topic, Tap]


@contextmanager
def running(
    processes: Sequence[NodeProcess], folder: Path, name: str = graph.OPERATOR, stays: bool = False
) -> Iterator[tuple[Supervisor, RosSession]]:
    """Node processes and a node of this process to talk to them, called ``name``.

    With ``stays`` it says all the time that it is there, as a driver on a robot demands of whoever enables it.
    """
    with (
        launch(processes, folder, Patience(interrupt_s=4.0)) as supervisor,
        RosSession(name, supervisor.check) as session,
        Heartbeat(session.node) if stays else nullcontext(),
    ):
        yield supervisor, session


@contextmanager
def simulated_graph(
    options: SimGraphOptions,
    folder: Path,
    *tapped: graph.Topic,
    may_end: Sequence[str] = (),
    parameters: Mapping[str, Mapping[str, Value]] | None = None,
) -> Iterator[SimulatedGraph]:
    """The whole simulated graph, connected, with taps on some topics; nodes of ``may_end`` may end before it does.

    ``parameters`` by node name replace those of the table.
    """
    processes = [
        replace(
            process,
            required=process.node_name not in may_end,
            parameters={**process.parameters, **(parameters or {}).get(process.node_name, {})},
        )
        for process in sim_graph(options)
    ]
    with running(processes, folder) as (supervisor, session):
        # Before everything else is connected, so that they miss nothing.
        taps = {topic: Tap(session, topic) for topic in tapped}
        operator = SimulationClient(session, options.backend)
        operator.wait_for_graph(START_LIMIT_S, False, options.camera)
        yield SimulatedGraph(supervisor, session, operator, taps)


def run_episode(operator: SimulationClient, seed: int, limit_s: float = 40.0) -> dict[str, Any]:
    """One episode as the command line runs it; the bridge's outcome."""
    start = operator.reset(seed, False)
    operator.state_goal(start)
    operator.enable_driver()
    outcome = operator.run_to_outcome(limit_s)
    operator.disarm()
    return outcome


def call(session: RosSession, service: str) -> tuple[bool, str]:
    """Call a Trigger service."""
    clients = _CLIENTS.setdefault(session.node, {})
    client = clients.get(service) or clients.setdefault(service, session.node.create_client(Trigger, service))
    session.wait_until(client.service_is_ready, START_LIMIT_S, lambda: service)
    future = client.call_async(Trigger.Request())
    session.wait_until(future.done, 10.0, lambda: f"answer from {service}")
    answer = future.result()
    return bool(answer.success), str(answer.message)


def set_parameter(session: RosSession, node: str, parameter: Parameter) -> tuple[bool, str]:
    """Set a parameter of a running node; whether it was taken, and the reason if not."""
    client = session.node.create_client(SetParameters, f"/{node}/set_parameters")
    session.wait_until(client.service_is_ready, START_LIMIT_S, lambda: f"parameters of {node}")
    future = client.call_async(SetParameters.Request(parameters=[parameter.to_parameter_msg()]))
    session.wait_until(future.done, 10.0, lambda: f"answer from {node}")
    result = future.result().results[0]
    session.node.destroy_client(client)
    return bool(result.successful), str(result.reason)


def values_of(tap: Tap, node: str) -> dict[str, str]:
    """What ``node`` last said on /diagnostics."""
    for message in reversed(tap.messages):
        for status in message.status:
            if status.name == node:
                values = {value.key: value.value for value in status.values}
                return {"level": status.level.hex(), "message": status.message} | values
    return {}
