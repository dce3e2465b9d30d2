"""The simulated graph with its pictures on the way of a RealSense camera's: SDK, alignment, camera_node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("pyrealsense2", exc_type=ImportError)

from deadlines import BRAKES_IN_TIME
from rclpy.parameter import Parameter

from benchmarks.rig.graph_harness import (
    START_LIMIT_S,
    SimulatedGraph,
    Tap,
    run_episode,
    running,
    set_parameter,
    simulated_graph,
    values_of,
    write_untrained_bundle,
)
from benchmarks.rig.graph_motion import (
    COMMAND_TIMEOUT_S,
    REALTIME_FACTOR,
    SETTLED_AFTER_S,
    assert_brakes_to_rest,
    newest_ns,
    start_moving,
    wait_until_moving,
)
from fetch_sim2real import graph
from fetch_sim2real.messages.camera_info import decode_camera_info, encode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth, encode_color, encode_depth
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.ros.simulation_client import SimulationClient
from fetch_sim2real.ros.topics import publish_to, subscribe_to
from fetch_sim2real.sim.sensors.depth_camera import depth_sensor_model
from fetch_sim2real.stack.options import CAMERA_SOFTWARE, SimGraphOptions
from fetch_sim2real.stack.processes import camera_processes, sim_graph
from fetch_sim2real.timing import CONTROL_PERIOD_S

pytestmark = [pytest.mark.ros, pytest.mark.gl]

SEED = 3
CAMERA = (graph.COLOR, graph.COLOR_INFO, graph.DEPTH, graph.DEPTH_INFO)


def options(folder: Path, **chosen: object) -> SimGraphOptions:
    write_untrained_bundle(folder / "bundle")
    return SimGraphOptions(policy=str(folder / "bundle"), camera=CAMERA_SOFTWARE, **chosen)  # type: ignore[arg-type]


def test_in_lockstep_every_picture_is_answered_and_same_seeds_give_the_same_motion(tmp_path: Path) -> None:
    """In a world in which each episode's camera has a field of view of its own, so that the device is a new one."""
    chosen = options(tmp_path, world="randomized", lockstep=True, episode_s=1.0)
    taps = (*graph.SIM_CAMERA, *CAMERA, graph.JOINT_COMMAND)
    with simulated_graph(chosen, tmp_path / "log", *taps) as simulated:
        first, other, again = (run_episode(simulated.operator, seed) for seed in (SEED, SEED + 1, SEED))
        for key in ("setpoints_sha256", "final_distance_m", "success", "steps", "decisions"):
            assert first[key] == again[key], key
        assert first["setpoints_sha256"] != other["setpoints_sha256"]
        assert first["missed"] == 0 and first["steps"] > 20
        assert set(first["decisions"]) <= {"command", "limited"}

        steps = sum(outcome["steps"] for outcome in (first, other, again))
        messages = {topic.name: simulated.taps[topic].messages for topic in taps}
        stamps = {name: {decode_stamp(m.header.stamp): m for m in each} for name, each in messages.items()}
        commanded = list(stamps[graph.JOINT_COMMAND.name])
        assert len(commanded) == steps
        shared = set.intersection(*(set(stamps[topic.name]) for topic in (*graph.SIM_CAMERA, *CAMERA)))
        assert shared and shared <= set(commanded), "stamps arrive as they were given"
        for stamp_ns in shared:
            raw, raw_depth = (stamps[topic.name][stamp_ns] for topic in (graph.SIM_COLOR, graph.SIM_DEPTH))
            color, info, depth, depth_info = (stamps[topic.name][stamp_ns] for topic in CAMERA)
            assert np.array_equal(decode_color(color), decode_color(raw))
            assert {m.header.frame_id for m in (color, info, depth, depth_info)} == {graph.COLOR_OPTICAL_FRAME}
            assert raw_depth.header.frame_id == graph.DEPTH_OPTICAL_FRAME
            assert not np.array_equal(decode_depth(depth), decode_depth(raw_depth))
            assert info == depth_info
            # The SDK keeps intrinsics as float32.
            rendered = decode_camera_info(stamps[graph.SIM_COLOR_INFO.name][stamp_ns])
            assert decode_camera_info(info).fx == pytest.approx(rendered.fx, rel=1e-6)
        models = {m.k[0] for m in simulated.taps[graph.COLOR_INFO].messages}
        assert len(models) == 2, "one for each of two seeds"


def test_a_picture_that_is_published_again_is_answered_again(tmp_path: Path) -> None:
    """A simulation in lockstep repeats a picture whose answer does not come: an image may be lost on either way."""
    (camera,) = camera_processes(CAMERA_SOFTWARE)
    color, depth = CameraModel(424, 240, 308.6, 308.6, 211.5, 119.5), depth_sensor_model(424, 240)
    with running([camera], tmp_path) as (_, session):
        publishers = [publish_to(session.node, topic) for topic in graph.SIM_CAMERA]
        taps = [Tap(session, topic) for topic in CAMERA]
        session.wait_until(
            lambda: all(publisher.get_subscription_count() for publisher in publishers), START_LIMIT_S, lambda: "camera"
        )

        def show(stamp_ns: int, times: int) -> None:
            messages = (
                encode_color(np.full((240, 424, 3), 7, np.uint8), stamp_ns, graph.COLOR_OPTICAL_FRAME),
                encode_camera_info(color, stamp_ns, graph.COLOR_OPTICAL_FRAME),
                encode_depth(np.full((240, 424), 1000, np.uint16), stamp_ns, graph.DEPTH_OPTICAL_FRAME),
                encode_camera_info(depth, stamp_ns, graph.DEPTH_OPTICAL_FRAME),
            )
            for publisher, message in zip(publishers, messages, strict=True):
                publisher.publish(message)

            def came() -> bool:
                heard = ([decode_stamp(message.header.stamp) for message in tap.messages] for tap in taps)
                return all(stamps_ns.count(stamp_ns) == times for stamps_ns in heard)

            session.wait_until(came, 10.0, lambda: f"answer to {stamp_ns}")

        for stamp_ns, times in ((10**9, 1), (10**9, 2), (10**9 + 33_333_333, 1), (9 * 10**9, 1), (9 * 10**9, 2)):
            show(stamp_ns, times)


def test_with_an_external_camera_the_topics_are_left_to_another_node(tmp_path: Path) -> None:
    """Here one that passes on what the sensors see, each message as it comes."""
    write_untrained_bundle(tmp_path / "bundle")
    chosen = SimGraphOptions(policy=str(tmp_path / "bundle"), camera="external", episode_s=0.3)
    with running(sim_graph(chosen), tmp_path / "log") as (_, session):
        for seen, shown in zip(graph.SIM_CAMERA, CAMERA, strict=True):
            subscribe_to(session.node, seen, publish_to(session.node, shown).publish)
        operator = SimulationClient(session)
        operator.wait_for_graph(START_LIMIT_S, False, chosen.camera)
        operator.refuse_strangers(chosen.camera)
        outcome = run_episode(operator, SEED)
    assert outcome["missed"] == 0 and set(outcome["decisions"]) <= {"command", "limited"}


@pytest.fixture(scope="module")
def running_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedGraph]:
    folder = tmp_path_factory.mktemp("software")
    taps = (graph.JOINT_STATES, graph.SETPOINT, graph.JOINT_COMMAND, graph.DIAGNOSTICS)
    quick = {graph.CAMERA_NODE: {"reconnect_timeout": 0.3}}
    chosen = options(folder, lockstep=False, realtime_factor=REALTIME_FACTOR, episode_s=60.0)
    with simulated_graph(chosen, folder / "log", *taps, parameters=quick) as simulated:
        yield simulated


class Commands:
    """When the last command of the policy came, in simulated time, and how many there have been."""

    def __init__(self, simulated: SimulatedGraph) -> None:
        self._simulated = simulated
        self._seen = 0
        self.last_ns = 0

    def look(self) -> int:
        """Count of commands; those that are new are taken to have come now."""
        messages = self._simulated.taps[graph.JOINT_COMMAND].messages
        new, self._seen = messages[self._seen :], len(messages)
        if any(message.points for message in new):
            # Joint states of the same moment may still be on their way.
            self._simulated.session.spin(SETTLED_AFTER_S)
            self.last_ns = newest_ns(self._simulated)
        return sum(bool(message.points) for message in messages)


def set_fault(simulated: SimulatedGraph, fault: str) -> None:
    assert set_parameter(simulated.session, graph.CAMERA_NODE, Parameter("simulated_fault", value=fault)) == (True, "")


def report_of(simulated: SimulatedGraph, node: str) -> dict[str, str]:
    return values_of(simulated.taps[graph.DIAGNOSTICS], node)


@BRAKES_IN_TIME
@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("unplugged", {"unplugged", "no_camera"}),
        ("frozen", {"frozen", "no_frames"}),
        ("color_only", {"no_depth"}),
        ("depth_only", {"no_color"}),
    ],
)
def test_a_camera_that_fails_stops_the_arm_is_named_and_comes_back(
    running_graph: SimulatedGraph, fault: str, named: set[str]
) -> None:
    simulated = running_graph
    for tap in simulated.taps.values():
        tap.messages.clear()
    set_fault(simulated, "none")
    start_moving(simulated)
    commands = Commands(simulated)
    commands.look()
    set_fault(simulated, fault)

    def is_reported() -> bool:
        commands.look()
        return report_of(simulated, graph.CAMERA_NODE).get("fault") in named

    simulated.session.wait_until(is_reported, 15.0, lambda: f"report of {named}")
    assert report_of(simulated, graph.CAMERA_NODE)["level"] != "00"
    assert_brakes_to_rest(simulated, commands.last_ns, COMMAND_TIMEOUT_S + CONTROL_PERIOD_S)
    silent = commands.look()
    assert report_of(simulated, graph.ARM_DRIVER)["state"] == "hold"

    set_fault(simulated, "none")
    simulated.session.wait_until(
        lambda: report_of(simulated, graph.CAMERA_NODE).get("state") == "streaming", 15.0, lambda: "frames again"
    )
    simulated.operator.enable_driver()
    simulated.taps[graph.SETPOINT].messages.clear()
    wait_until_moving(simulated)
    assert commands.look() > silent
