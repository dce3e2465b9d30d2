"""The table of the simulated graph's processes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fetch_sim2real import graph
from fetch_sim2real.common.option import arguments_of, options_of
from fetch_sim2real.errors import GraphError, SetupError
from fetch_sim2real.stack import processes
from fetch_sim2real.stack.options import PlaybackOptions, RobotGraphOptions, SimGraphOptions
from fetch_sim2real.stack.processes import node_package, playback_graph, robot_graph, sim_graph

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def policy(tmp_path: Path) -> str:
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"task": "push"}')
    return str(folder)


def by_name(options: SimGraphOptions) -> dict[str, processes.NodeProcess]:
    return {process.node_name: process for process in sim_graph(options)}


def test_the_graph_is_policy_driver_and_bridge(policy: str) -> None:
    assert set(by_name(SimGraphOptions(policy=policy))) == {graph.POLICY_NODE, graph.ARM_DRIVER, graph.SIM_BRIDGE}


def test_a_recorder_only_where_there_is_something_to_record_to(policy: str, tmp_path: Path) -> None:
    recorder = by_name(SimGraphOptions(policy=policy, record="bags/one"))[graph.RECORDER]
    assert recorder.parameters["output"] == str(Path("bags/one").absolute())


def test_the_driver_is_stopped_last_and_alone(policy: str) -> None:
    ranks = {name: p.stop_rank for name, p in by_name(SimGraphOptions(policy=policy, record="bag")).items()}
    driver = ranks.pop(graph.ARM_DRIVER)
    assert driver > max(ranks.values())
    assert ranks[graph.POLICY_NODE] < min(rank for name, rank in ranks.items() if name != graph.POLICY_NODE)


def test_every_process_gets_the_transport_that_carries_images(policy: str) -> None:
    for process in sim_graph(SimGraphOptions(policy=policy, record="bag")):
        assert process.environment[graph.FASTDDS_TRANSPORT_VARIABLE] == graph.FASTDDS_TRANSPORT


def test_every_module_is_a_package_of_the_project_with_a_console_script(policy: str) -> None:
    setup = (ROOT / "setup.py").read_text()
    for process in sim_graph(SimGraphOptions(policy=policy, record="bag")):
        assert f'"{process.executable}"' in setup
        assert process.module == f"{node_package(process.executable)}.main"


def test_bridge_driver_and_policy_agree_on_world_and_clock(policy: str) -> None:
    named = by_name(SimGraphOptions(policy=policy, world="some/world.yaml", lockstep=False))
    bridge, driver = named[graph.SIM_BRIDGE].parameters, named[graph.ARM_DRIVER].parameters
    worlds = [process.parameters["world"] for process in named.values() if "world" in process.parameters]
    assert worlds == 3 * [str(Path("some/world.yaml").absolute())]
    on_robot = robot_graph(RobotGraphOptions(policy=policy, world="some/world.yaml"))
    assert [process.parameters["world"] for process in on_robot if "world" in process.parameters] == worlds[:2]
    assert bridge["lockstep"] is driver["lockstep"] is False


def test_the_name_of_a_world_stays_a_name(policy: str) -> None:
    assert (
        by_name(SimGraphOptions(policy=policy, world="randomized"))[graph.SIM_BRIDGE].parameters["world"]
        == "randomized"
    )


def test_the_camera_is_a_choice(policy: str) -> None:
    software = by_name(SimGraphOptions(policy=policy, camera="software-device", camera_profile="640x480@30"))
    camera = software[graph.CAMERA_NODE].parameters
    assert (camera["source"], camera["use_sim_time"]) == ("software-device", True)
    assert camera["rgb_camera.color_profile"] == camera["depth_module.depth_profile"] == "640x480x30"
    assert software[graph.SIM_BRIDGE].parameters["camera_source"] == "software-device"
    assert graph.CAMERA_NODE not in by_name(SimGraphOptions(policy=policy, camera="external"))
    (device,) = processes.camera_processes("realsense", serial_no="_12")
    assert device.parameters["serial_no"] == "_12" and "use_sim_time" not in device.parameters
    with pytest.raises(GraphError, match=r"'realsense', expected one of sim, software-device, external"):
        sim_graph(SimGraphOptions(policy=policy, camera="realsense"))
    with pytest.raises(GraphError, match=r"'webcam', available: sim, "):
        processes.camera_processes("webcam")


def test_the_scene_is_published_if_asked_for_as_the_policy_takes_it_to_be_and_may_end(policy: str) -> None:
    assert graph.SCENE_PUBLISHER not in by_name(SimGraphOptions(policy=policy))
    chosen = {"policy": policy, "world": "gap", "calibration": "lab.yaml", "scene": True}
    tables = (
        sim_graph(SimGraphOptions(**chosen)),
        robot_graph(RobotGraphOptions(**chosen)),
        robot_graph(RobotGraphOptions(**chosen, camera="sim")),
        playback_graph(PlaybackOptions(**chosen)),
    )
    for table in tables:
        named = {process.node_name: process for process in table}
        scene, known = named[graph.SCENE_PUBLISHER], named[graph.POLICY_NODE].parameters
        assert scene.parameters == {name: known[name] for name in ("policy", "world", "calibration")}
        assert not scene.required


def test_impossible_choices_are_refused_with_what_there_is(policy: str) -> None:
    with pytest.raises(GraphError, match=r"'1x1@1'.*424x240@30"):
        sim_graph(SimGraphOptions(policy=policy, camera_profile="1x1@1"))
    with pytest.raises(GraphError, match=r"'ludicrous'.*gentle, default"):
        sim_graph(SimGraphOptions(policy=policy, profile="ludicrous"))
    with pytest.raises(SetupError, match="no_such_policy"):
        sim_graph(SimGraphOptions(policy="no_such_policy"))


def test_arguments_cover_the_options_and_come_back_the_same() -> None:
    arguments = arguments_of(SimGraphOptions)
    assert [a.name for a in arguments] == [f.name for f in dataclasses.fields(SimGraphOptions)]
    assert all(a.description and (not a.choices or a.default in a.choices) for a in arguments)
    assert options_of(SimGraphOptions, {a.name: a.default for a in arguments}) == SimGraphOptions()


def test_arguments_are_converted_to_the_options_types() -> None:
    values = {a.name: a.default for a in arguments_of(SimGraphOptions)}
    given = {"lockstep": "False", "seed": "7", "episode_s": "2", "policy": "12"}
    options = options_of(SimGraphOptions, values | given)
    assert options == SimGraphOptions(lockstep=False, seed=7, episode_s=2.0, policy="12")


def test_a_pace_is_for_real_time(policy: str) -> None:
    slow = by_name(SimGraphOptions(policy=policy, lockstep=False, realtime_factor=0.5))
    assert slow[graph.SIM_BRIDGE].parameters["realtime_factor"] == 0.5
    with pytest.raises(GraphError, match="realtime_factor"):
        sim_graph(SimGraphOptions(policy=policy, realtime_factor=0.5))


@pytest.mark.parametrize(("name", "text"), [("lockstep", "maybe"), ("seed", "1.5"), ("episode_s", "long")])
def test_an_argument_of_the_wrong_type_is_named(name: str, text: str) -> None:
    values = {a.name: a.default for a in arguments_of(SimGraphOptions)}
    with pytest.raises(GraphError, match=f"argument {name} is '{text}'"):
        options_of(SimGraphOptions, {**values, name: text})
