"""The launch files and the tables they are made from: every name in them exists in the code.

With ROS's own launch packages where they are installed (they are not on PyPI), else with stand-ins.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy")

import arm_driver.settings
import camera_node.settings
import fetch_sim2real.ros.bag_player.settings
import fetch_sim2real.ros.recorder.settings
import fetch_sim2real.ros.scene_publisher.settings
import policy_node.settings
import sim_bridge.settings
from fetch_sim2real import graph, paths
from fetch_sim2real.common.option import arguments_of, options_of
from fetch_sim2real.errors import GraphError
from fetch_sim2real.ros.parameters import USE_SIM_TIME
from fetch_sim2real.stack.launcher import child_of, write_parameters
from fetch_sim2real.stack.options import (
    ROBOTS_CAMERA,
    PlacementOptions,
    PlaybackOptions,
    RecordOptions,
    RobotGraphOptions,
    SimGraphOptions,
)
from fetch_sim2real.stack.processes import NodeProcess, placed, playback_graph, record_graph, robot_graph, sim_graph
from fetch_sim2real.stack.ros_arguments import RosArgumentError

LAUNCH = Path(__file__).resolve().parent.parent / "launch"
TABLES = {
    graph.ARM_DRIVER: arm_driver.settings.TABLE,
    graph.BAG_PLAYER: fetch_sim2real.ros.bag_player.settings.TABLE,
    graph.CAMERA_NODE: camera_node.settings.TABLE,
    graph.POLICY_NODE: policy_node.settings.TABLE,
    graph.RECORDER: fetch_sim2real.ros.recorder.settings.TABLE,
    graph.SCENE_PUBLISHER: fetch_sim2real.ros.scene_publisher.settings.TABLE,
    graph.SIM_BRIDGE: sim_bridge.settings.TABLE,
}
GRAPHS = {
    "sim": sim_graph(SimGraphOptions(record="bag")),
    "sim with scene": sim_graph(SimGraphOptions(scene=True)),
    **{
        f"robot {camera}": robot_graph(RobotGraphOptions(camera=camera, record="bag"))
        for camera in ROBOTS_CAMERA.choices
    },
    "record": record_graph(RecordOptions()),
    "playback": playback_graph(PlaybackOptions(record="mine")),
    "playback with scene": playback_graph(PlaybackOptions(scene=True)),
}
OPTIONS = {
    "sim.launch.py": SimGraphOptions,
    "robot.launch.py": RobotGraphOptions,
    "record.launch.py": RecordOptions,
    "playback.launch.py": PlaybackOptions,
    "replay.launch.py": PlaybackOptions,
}


def every_process() -> list[Any]:
    return [pytest.param(p, id=f"{name}, {p.node_name}") for name, table in GRAPHS.items() for p in table]


@pytest.mark.parametrize("process", every_process())
def test_executable_node_and_parameters_exist(process: NodeProcess) -> None:
    assert callable(importlib.import_module(process.module).main)
    assert process.executable == process.node_name
    table = {parameter.name: parameter for parameter in TABLES[process.node_name]}
    for name, value in process.parameters.items():
        if name != USE_SIM_TIME:
            assert table[name].checked(value) == value
    assert process.environment[graph.FASTDDS_TRANSPORT_VARIABLE] == graph.FASTDDS_TRANSPORT


@pytest.mark.parametrize("name", GRAPHS)
def test_the_driver_is_stopped_last(name: str) -> None:
    ranks = {process.node_name: process.stop_rank for process in GRAPHS[name]}
    driver = ranks.pop(graph.ARM_DRIVER, None)
    assert driver is None or driver > max(ranks.values())


def test_nothing_moves_by_default_on_a_robot() -> None:
    (driver,) = (p for p in GRAPHS["robot realsense"] if p.node_name == graph.ARM_DRIVER)
    assert driver.parameters["mode"] == "shadow"


def test_nothing_that_could_move_an_arm_is_in_a_playback() -> None:
    names = {process.node_name for process in GRAPHS["playback"]}
    assert names == {graph.POLICY_NODE, graph.BAG_PLAYER, graph.RECORDER}
    assert {p.node_name for p in playback_graph(PlaybackOptions())} == names - {graph.RECORDER}


def test_one_argument_turns_the_robot_into_the_simulated_one() -> None:
    robot = {p.node_name: p for p in robot_graph(RobotGraphOptions(mode="live"))}
    simulated = {p.node_name: p for p in robot_graph(RobotGraphOptions(mode="live", camera="sim"))}
    assert set(robot) ^ set(simulated) == {graph.CAMERA_NODE, graph.SIM_BRIDGE}
    for node in (graph.POLICY_NODE, graph.ARM_DRIVER):
        given, simulated_given = robot[node].parameters, simulated[node].parameters
        assert simulated_given[USE_SIM_TIME] is True
        assert given.items() <= {**simulated_given, USE_SIM_TIME: False}.items()


def test_a_calibration_reaches_the_policy_wherever_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for camera in ROBOTS_CAMERA.choices:
        for given, expected in (("lab.yaml", str(tmp_path / "lab.yaml")), ("", "")):
            table = robot_graph(RobotGraphOptions(camera=camera, calibration=given))
            (policy,) = (process for process in table if process.node_name == graph.POLICY_NODE)
            assert policy.parameters["calibration"] == expected
    for given, expected in (("lab.yaml", str(tmp_path / "lab.yaml")), ("", "")):
        policy, _ = playback_graph(PlaybackOptions(calibration=given))
        assert policy.parameters["calibration"] == expected


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(GraphError, match="lockstep is true, but with camera:=external time is real"):
        robot_graph(RobotGraphOptions(camera="external", lockstep=True))
    with pytest.raises(GraphError, match="camera is 'webcam', expected one of realsense, external"):
        robot_graph(RobotGraphOptions(camera="webcam"))
    with pytest.raises(GraphError, match=r"serial_no is '_1', but camera is 'external'.*camera:=realsense"):
        robot_graph(RobotGraphOptions(camera="external", serial_no="_1"))
    with pytest.raises(GraphError, match="rosbridge_host is 'fetch', but backend is 'joint_trajectory'"):
        robot_graph(RobotGraphOptions(rosbridge_host="fetch"))
    with pytest.raises(GraphError, match="rate is 0"):
        playback_graph(PlaybackOptions(rate=0.0))
    table = GRAPHS["record"]
    with pytest.raises(GraphError, match="expected FROM:=TO"):
        placed(table, PlacementOptions(remap="joint_states"))
    with pytest.raises(RosArgumentError, match=r"nowhere\.yaml cannot be read"):
        placed(table, PlacementOptions(params_file="nowhere.yaml"))
    with pytest.raises(GraphError, match="namespace is '1 2'"):
        placed(table, PlacementOptions(namespace="1 2"))


def test_the_shipped_parameter_file_says_what_nodes_take() -> None:
    file = paths.shared_dir("config") / "robot.yaml"
    for name, content in yaml.safe_load(file.read_text(encoding="utf-8")).items():
        table = {parameter.name: parameter for parameter in TABLES[name.removeprefix("/**/")]}
        for parameter, value in content["ros__parameters"].items():
            assert table[parameter].checked(value) == value


def test_a_placed_process_is_started_without_ros_launch_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("{}")
    options = PlacementOptions(namespace="left", params_file=str(file), remap="joint_states:=/fetch/joint_states a:=b")
    (process,) = placed(GRAPHS["record"], options)
    written = write_parameters(process, tmp_path)
    assert "/left/recorder:" in written.read_text()
    command = " ".join(child_of(process, written).command)
    assert "-r __ns:=/left" in command and "-r joint_states:=/fetch/joint_states -r a:=b" in command
    assert command.index(str(written)) < command.index(str(file)), "a person's own file comes last"


@pytest.mark.parametrize("name", OPTIONS)
def test_arguments_teach_and_come_back(name: str) -> None:
    options = OPTIONS[name]
    arguments = arguments_of(options)
    for argument in arguments:
        assert argument.description.endswith("."), argument
        assert not argument.choices or argument.default in argument.choices
    assert options_of(options, {a.name: a.default for a in arguments}) == options()


def test_every_launch_file_is_tested_here() -> None:
    assert {path.name for path in LAUNCH.glob("*.py")} == set(OPTIONS)
    # It would hide ROS' own `launch` from everything that runs in the clone.
    assert not (paths.shared_dir("launch") / "__init__.py").exists()


# ---- with stand-ins for ROS' launch packages ------------------------------------------------------------------------


@dataclass
class Recorded:
    """Stands for any class of the launch packages: keeps what it was made with."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def perform(self, context: Context) -> str:
        return context.launch_configurations[self.args[0]]


@dataclass
class Context:
    """Stands for launch's context: what the command line says, over the defaults."""

    launch_configurations: dict[str, str] = field(default_factory=dict)
    is_shutdown: bool = False


LAUNCH_NAMES = {
    "launch": ("LaunchDescription",),
    "launch.launch_context": ("LaunchContext",),
    "launch.launch_description": ("LaunchDescription",),
    "launch.actions": (
        "DeclareLaunchArgument", "EmitEvent", "IncludeLaunchDescription", "LogInfo", "OpaqueFunction",
        "SetEnvironmentVariable",
    ),
    "launch.events": ("Shutdown", "matches_action"),
    "launch.events.process": ("ProcessExited", "ShutdownProcess"),
    "launch.substitutions": ("LaunchConfiguration",),
    "launch_ros": (),
    "launch_ros.actions": ("Node",),
    "launch_ros.parameter_descriptions": ("ParameterFile", "ParameterValue"),
}


@pytest.fixture
def launching(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    for name, members in LAUNCH_NAMES.items():
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, type(member, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    utilities = types.ModuleType("launch.utilities")
    utilities.normalize_to_list_of_substitutions = lambda text: [text]  # type: ignore[attr-defined]
    utilities.perform_substitutions = lambda context, parts: "".join(parts)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, utilities.__name__, utilities)
    monkeypatch.delitem(sys.modules, "fetch_sim2real.ros.launching", raising=False)
    yield importlib.import_module("fetch_sim2real.ros.launching")
    sys.modules.pop("fetch_sim2real.ros.launching", None)


def described(name: str) -> list[Recorded]:
    spec = importlib.util.spec_from_file_location("launch_file", LAUNCH / name)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    entities: list[Recorded] = loaded.generate_launch_description().args[0]
    return entities


def included(entity: Recorded, values: dict[str, str], given: Sequence[str]) -> list[Recorded]:
    """What a launch file does with ``values`` in the context if ``given`` are the names that it was given itself.

    As launch does it: from within the visit of the action that includes it.
    """
    include = sys.modules["launch.actions"].IncludeLaunchDescription()
    include.launch_arguments = [(name, values.get(name, "")) for name in given]
    actions: list[Recorded] = entity.kwargs["function"](Context(values))
    return actions


@pytest.mark.parametrize("name", OPTIONS)
def test_a_launch_file_declares_its_options_then_the_transport_then_nodes(
    launching: types.ModuleType, name: str
) -> None:
    entities = described(name)
    kinds = [type(entity).__name__ for entity in entities]
    assert kinds == sorted(kinds, key=("DeclareLaunchArgument", "SetEnvironmentVariable", "OpaqueFunction").index)
    declared = {e.args[0]: e.kwargs for e in entities if type(e).__name__ == "DeclareLaunchArgument"}
    expected = (*arguments_of(OPTIONS[name]), *arguments_of(PlacementOptions))
    assert list(declared) == [argument.name for argument in expected]
    for argument in expected:
        assert declared[argument.name]["default_value"] == argument.default
        assert declared[argument.name]["description"] == argument.description
        assert tuple(declared[argument.name].get("choices", ())) == argument.choices
    given = {argument.name: argument.default for argument in expected} | {"namespace": "left", "of_another_file": "1"}
    actions = included(entities[-1], given, ["namespace", "of_another_file", "launch-prefix"])
    told = [action.kwargs["msg"] for action in actions if "msg" in action.kwargs]
    nodes = [action for action in actions if "msg" not in action.kwargs]
    assert told[0].startswith("'of_another_file' is no argument of this launch file")
    waits = name in ("robot.launch.py", "sim.launch.py")
    deprecated = name == "replay.launch.py"
    assert [("operator" in text, "playback.launch.py" in text) for text in told[1:]] == (
        [(True, False)] * waits + [(False, True)] * deprecated
    )
    assert nodes and all(node.kwargs["namespace"] == "left" for node in nodes)
    for misspelt, meant in (("remaps", "remap"), ("param_file", "params_file")):
        with pytest.raises(GraphError, match=f"no argument '{misspelt}', did you mean {meant}"):
            included(entities[-1], given | {misspelt: "x"}, [misspelt])
        # What an including file has declared for itself, or launch_ros keeps there, is none of its business.
        quiet = included(entities[-1], given | {misspelt: "x", "global_params": []}, ["namespace"])
        assert not [action for action in quiet if "is no argument" in action.kwargs.get("msg", "")]
    assert entities[-1].kwargs["function"](Context(given | {"remaps": "x"})), "nobody gave anything"


def test_nodes_are_those_of_the_table(launching: types.ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("{}")
    table = placed(GRAPHS["robot realsense"], PlacementOptions(params_file=str(file), remap="a:=b"))
    for node, process in zip(launching.start_nodes(table), table, strict=True):
        assert node.kwargs["package"] == "fetch_sim2real"
        assert (node.kwargs["executable"], node.kwargs["name"]) == (process.executable, process.node_name)
        given, own = node.kwargs["parameters"]
        assert {name: value.args[0] for name, value in given.items()} == process.parameters
        assert all(value.kwargs["value_type"] is type(value.args[0]) for value in given.values())
        assert own.args == (str(file),)
        assert node.kwargs["remappings"] == [("a", "b")]
        assert node.kwargs["additional_env"] == process.environment


@dataclass
class Exited:
    """Stands for launch's event of a process' end."""

    returncode: int = 0


def stopped(actions: Sequence[Recorded]) -> list[str]:
    """Names of the nodes that ``actions`` end, or "shutdown"."""
    names = []
    for action in actions:
        event = action.kwargs["event"]
        if type(event).__name__ == "Shutdown":
            names.append(f"shutdown: {event.kwargs['reason']}")
        else:
            names.append(event.kwargs["process_matcher"].args[0].kwargs["name"])
    return names


def test_a_death_brings_the_rest_down_in_order_and_the_driver_last(launching: types.ModuleType) -> None:
    nodes = {node.kwargs["name"]: node for node in launching.start_nodes(GRAPHS["robot realsense"])}

    def ends(name: str) -> list[str]:
        return stopped(nodes[name].kwargs["on_exit"](Exited(), Context()))

    assert ends(graph.CAMERA_NODE) == [graph.POLICY_NODE]
    assert ends(graph.POLICY_NODE) == [graph.RECORDER]
    assert ends(graph.RECORDER) == [graph.ARM_DRIVER]
    assert ends(graph.ARM_DRIVER) == [f"shutdown: {graph.CAMERA_NODE} ended"]


def test_a_launch_in_which_a_node_failed_ends_with_an_error(launching: types.ModuleType) -> None:
    """launch has an exit status other than 0 only after an exception."""
    nodes = {node.kwargs["name"]: node for node in launching.start_nodes(GRAPHS["robot realsense"])}

    def ends(name: str, returncode: int, *, is_shutdown: bool = False) -> list[str]:
        return stopped(nodes[name].kwargs["on_exit"](Exited(returncode), Context(is_shutdown=is_shutdown)))

    assert ends(graph.ARM_DRIVER, 1) == [graph.POLICY_NODE]
    assert ends(graph.POLICY_NODE, 0) and not ends(graph.CAMERA_NODE, 0)
    with pytest.raises(GraphError, match="arm_driver ended with exit status 1"):
        ends(graph.RECORDER, 0)
    nodes = {node.kwargs["name"]: node for node in launching.start_nodes(GRAPHS["record"])}
    assert not ends(graph.RECORDER, -2, is_shutdown=True), "Ctrl-C is no failure"


def test_the_end_of_a_bag_brings_a_playback_down_and_the_recorder_last(launching: types.ModuleType) -> None:
    nodes = {node.kwargs["name"]: node for node in launching.start_nodes(GRAPHS["playback"])}

    def ends(name: str) -> list[str]:
        return stopped(nodes[name].kwargs["on_exit"](Exited(), Context()))

    assert ends(graph.BAG_PLAYER) == [graph.POLICY_NODE]
    assert ends(graph.POLICY_NODE) == [graph.RECORDER]
    assert ends(graph.RECORDER) == [f"shutdown: {graph.BAG_PLAYER} ended"]


def test_the_end_of_what_is_not_required_changes_nothing(launching: types.ModuleType) -> None:
    table = [replace(p, required=p.node_name != graph.RECORDER) for p in GRAPHS["robot realsense"]]
    nodes = {node.kwargs["name"]: node for node in launching.start_nodes(table)}
    assert nodes[graph.RECORDER].kwargs["on_exit"](Exited(), Context()) == []


# ---- with the real ones ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_ros_launch_reads_the_file(name: str) -> None:
    pytest.importorskip("launch_ros.actions")
    sources = importlib.import_module("launch.launch_description_sources")
    description = sources.get_launch_description_from_python_launch_file(str(LAUNCH / name))
    declared = {argument.name: argument for argument in description.get_launch_arguments()}
    for argument in arguments_of(OPTIONS[name]):
        assert declared[argument.name].description.startswith(argument.description)
        assert tuple(declared[argument.name].choices or ()) == argument.choices


def test_ros_launch_tells_what_was_given_to_the_file_from_what_the_context_holds() -> None:
    actions, launch = pytest.importorskip("launch.actions"), importlib.import_module("launch")
    pytest.importorskip("launch_ros.actions")
    visit = importlib.import_module("launch.utilities").visit_all_entities_and_collect_futures

    def start(declared: str, **given: str) -> None:
        include = actions.IncludeLaunchDescription(str(LAUNCH / "record.launch.py"), launch_arguments=given.items())
        parent = launch.LaunchDescription([actions.DeclareLaunchArgument(declared, default_value="x"), include])
        visit(parent, launch.LaunchContext())

    with pytest.raises(GraphError, match="no argument 'outptu', did you mean output"):
        start("model", outptu="bag")
    with pytest.raises(RosArgumentError, match="parameter file /nowhere cannot be read"):
        start("outptu", output="bag", params_file="/nowhere")
