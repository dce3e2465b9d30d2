"""The table of processes, and the launch file that is made from it."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fetch_sim2real import graph, paths, processes
from fetch_sim2real.errors import GraphError, SetupError
from fetch_sim2real.processes import SimGraphOptions, options_from_arguments, sim_arguments, sim_graph

LAUNCH_FILE = Path(__file__).resolve().parent.parent / "launch" / "sim.launch.py"


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
    recorder = by_name(SimGraphOptions(policy=policy, record_to="bags/one"))[graph.RECORDER]
    assert recorder.parameters["output"] == str(Path("bags/one").absolute())


def test_the_driver_is_stopped_last_and_alone(policy: str) -> None:
    ranks = {name: p.stop_rank for name, p in by_name(SimGraphOptions(policy=policy, record_to="bag")).items()}
    driver = ranks.pop(graph.ARM_DRIVER)
    assert driver > max(ranks.values())
    assert ranks[graph.POLICY_NODE] < min(rank for name, rank in ranks.items() if name != graph.POLICY_NODE)


def test_every_process_gets_the_transport_that_carries_images(policy: str) -> None:
    for process in sim_graph(SimGraphOptions(policy=policy, record_to="bag")):
        assert process.environment[graph.FASTDDS_TRANSPORT_VARIABLE] == graph.FASTDDS_TRANSPORT


def test_without_a_screen_the_bridge_renders_with_egl(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert by_name(SimGraphOptions(policy=policy))[graph.SIM_BRIDGE].environment["MUJOCO_GL"] == "egl"
    for name in ("MUJOCO_GL", "DISPLAY"):
        assert processes.rendering_environment({name: "x"}) == {}


def test_every_module_is_a_package_of_the_project_with_a_console_script(policy: str) -> None:
    setup = (LAUNCH_FILE.parent.parent / "setup.py").read_text()
    for process in sim_graph(SimGraphOptions(policy=policy, record_to="bag")):
        assert f'"{process.executable}"' in setup
        assert process.module == f"{process.executable}.main"


def test_bridge_and_driver_agree_on_world_and_clock(policy: str) -> None:
    named = by_name(SimGraphOptions(policy=policy, world="some/world.yaml", lockstep=False))
    bridge, driver = named[graph.SIM_BRIDGE].parameters, named[graph.ARM_DRIVER].parameters
    assert bridge["world"] == driver["world"] == str(Path("some/world.yaml").absolute())
    assert bridge["lockstep"] is driver["lockstep"] is False


def test_the_name_of_a_world_stays_a_name(policy: str) -> None:
    assert (
        by_name(SimGraphOptions(policy=policy, world="randomized"))[graph.SIM_BRIDGE].parameters["world"]
        == "randomized"
    )


def test_the_camera_is_a_choice(policy: str) -> None:
    software = by_name(SimGraphOptions(policy=policy, camera_source="software-device", camera="640x480@30"))
    camera = software[graph.CAMERA_NODE].parameters
    assert (camera["source"], camera["use_sim_time"]) == ("software-device", True)
    assert camera["rgb_camera.color_profile"] == camera["depth_module.depth_profile"] == "640x480x30"
    assert software[graph.SIM_BRIDGE].parameters["camera_source"] == "software-device"
    assert graph.CAMERA_NODE not in by_name(SimGraphOptions(policy=policy, camera_source="external"))
    (device,) = processes.camera_processes("realsense", serial_no="_12")
    assert device.parameters["serial_no"] == "_12" and "use_sim_time" not in device.parameters
    with pytest.raises(GraphError, match=r"'realsense', available: sim, software-device, external"):
        sim_graph(SimGraphOptions(policy=policy, camera_source="realsense"))
    with pytest.raises(GraphError, match=r"'webcam', available: sim, "):
        processes.camera_processes("webcam")


def test_impossible_choices_are_refused_with_what_there_is(policy: str) -> None:
    with pytest.raises(GraphError, match=r"'1x1@1'.*424x240@30"):
        sim_graph(SimGraphOptions(policy=policy, camera="1x1@1"))
    with pytest.raises(GraphError, match=r"'ludicrous'.*gentle, default"):
        sim_graph(SimGraphOptions(policy=policy, profile="ludicrous"))
    with pytest.raises(SetupError, match="no_such_policy"):
        sim_graph(SimGraphOptions(policy="no_such_policy"))


def test_arguments_cover_the_options_and_come_back_the_same() -> None:
    arguments = sim_arguments()
    assert [a.name for a in arguments] == [f.name for f in dataclasses.fields(SimGraphOptions)]
    assert all(a.description and (not a.choices or a.default in a.choices) for a in arguments)
    assert options_from_arguments({a.name: a.default for a in arguments}) == SimGraphOptions()


def test_arguments_are_converted_to_the_options_types() -> None:
    values = {a.name: a.default for a in sim_arguments()}
    options = options_from_arguments({**values, "lockstep": "False", "seed": "7", "episode_s": "2", "policy": "12"})
    assert options == SimGraphOptions(lockstep=False, seed=7, episode_s=2.0, policy="12")


@pytest.mark.parametrize(("name", "text"), [("lockstep", "maybe"), ("seed", "1.5"), ("episode_s", "long")])
def test_an_argument_of_the_wrong_type_is_named(name: str, text: str) -> None:
    values = {a.name: a.default for a in sim_arguments()}
    with pytest.raises(GraphError, match=f"argument {name} is '{text}'"):
        options_from_arguments({**values, name: text})


# ---- the launch file, with stand-ins for ROS' launch packages, which PyPI does not have -----------------------------


@dataclass
class Recorded:
    """Stands for any class of the launch packages: keeps what it was made with."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def perform(self, context: dict[str, str]) -> str:
        return context[self.args[0]]


LAUNCH_NAMES = {
    "launch": ("LaunchContext", "LaunchDescription"),
    "launch.actions": ("DeclareLaunchArgument", "EmitEvent", "OpaqueFunction", "SetEnvironmentVariable"),
    "launch.events": ("Shutdown",),
    "launch.substitutions": ("LaunchConfiguration",),
    "launch_ros": (),
    "launch_ros.actions": ("Node",),
    "launch_ros.parameter_descriptions": ("ParameterValue",),
}


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    for name, members in LAUNCH_NAMES.items():
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, type(member, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("sim_launch", LAUNCH_FILE)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    yield loaded


def entities(launch_file: types.ModuleType, kind: str) -> list[Recorded]:
    description = launch_file.generate_launch_description()
    return [entity for entity in description.args[0] if type(entity).__name__ == kind]


def test_the_launch_file_declares_every_option(launch_file: types.ModuleType) -> None:
    declared = {a.args[0]: a.kwargs for a in entities(launch_file, "DeclareLaunchArgument")}
    for argument in sim_arguments():
        assert declared.pop(argument.name) == {
            "default_value": argument.default,
            "description": argument.description,
            **({"choices": list(argument.choices)} if argument.choices else {}),
        }
    assert not declared


def test_the_launch_file_sets_the_transport_before_it_starts_anything(launch_file: types.ModuleType) -> None:
    description = launch_file.generate_launch_description().args[0]
    kinds = [type(entity).__name__ for entity in description]
    assert kinds.index("SetEnvironmentVariable") < kinds.index("OpaqueFunction")
    (variable,) = entities(launch_file, "SetEnvironmentVariable")
    assert variable.args == (graph.FASTDDS_TRANSPORT_VARIABLE, graph.FASTDDS_TRANSPORT)


def test_the_launch_file_starts_the_table(launch_file: types.ModuleType, policy: str) -> None:
    context = {a.name: a.default for a in sim_arguments()} | {"policy": policy, "record_to": "bag", "lockstep": "false"}
    nodes = launch_file.start_nodes(context)
    table = sim_graph(SimGraphOptions(policy=policy, record_to="bag", lockstep=False))
    assert len(nodes) == len(table)
    for node, process in zip(nodes, table, strict=True):
        assert node.kwargs["package"] == "fetch_sim2real"
        assert (node.kwargs["executable"], node.kwargs["name"]) == (process.executable, process.node_name)
        (parameters,) = node.kwargs["parameters"]
        assert {name: value.args[0] for name, value in parameters.items()} == process.parameters
        assert all(value.kwargs["value_type"] is type(value.args[0]) for value in parameters.values())
        assert node.kwargs["additional_env"] == process.environment
        event = node.kwargs["on_exit"].kwargs["event"]
        assert type(event).__name__ == "Shutdown" and process.node_name in event.kwargs["reason"]


def test_the_launch_folder_is_no_package() -> None:
    # It would hide ROS' own `launch` from everything that runs in the clone.
    assert not (paths.shared_dir("launch") / "__init__.py").exists()
