"""``fetch-sim2real reference``: the pages that follow from the code: topics, parameters, worlds, errors."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fetch_sim2real import graph
from fetch_sim2real.cli.error_reference import error_page
from fetch_sim2real.cli.world_reference import world_page
from fetch_sim2real.common.option import Option, arguments_of
from fetch_sim2real.common.outputs import require_folder_place, write_text
from fetch_sim2real.errors import SetupError
from fetch_sim2real.graph import Qos, Topic
from fetch_sim2real.messages.motion import FIELD_MEANINGS
from fetch_sim2real.stack.options import (
    PlacementOptions,
    PlaybackOptions,
    RecordOptions,
    RobotGraphOptions,
    SimGraphOptions,
)
from fetch_sim2real.stack.processes import node_package

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

NODES: Final = (
    graph.POLICY_NODE, graph.ARM_DRIVER, graph.CAMERA_NODE, graph.SIM_BRIDGE, graph.RECORDER, graph.BAG_PLAYER
)  # fmt: skip
_MADE: Final = "*Made by `fetch-sim2real reference --docs docs`. A test fails when it is out of date.*\n"
_SERVICES: Final = (
    (graph.DRIVER_ENABLE, "follow commands from now on; refused with the reason where that is not safe"),
    (graph.DRIVER_DISABLE, "brake and follow no more commands"),
    (graph.DRIVER_STOP, "brake and stay stopped until reset"),
    (graph.DRIVER_RESET, "leave STOPPED or FAULT; `enable` is still needed"),
    (graph.POLICY_START, "act on the goal"),
    (graph.POLICY_HOLD, "answer every frame with a hold until started; ends a move"),
    (graph.POLICY_RESET, "forget goal, history and memory"),
    (graph.SIM_RESET, "simulation: start the episode of the parameter `seed`; the answer is JSON"),
    (graph.SIM_PAUSE, "simulation: stand still"),
    (graph.SIM_RESUME, "simulation: go on"),
)


@app.command()
def main(
    docs: Annotated[Path, typer.Option(help="Folder that the pages are written to.")] = Path("docs"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a page is out of date.")] = False,
) -> None:
    """Write the pages of the documentation that follow from the code: topics, parameters, worlds, errors."""
    if not check:
        require_folder_place(docs, "--docs")
    for name, text in pages().items():
        path = docs / name
        current = path.read_text(encoding="utf-8") if path.is_file() else ""
        if check and current != text:
            raise SetupError(f"{path} is out of date: run `fetch-sim2real reference --docs {docs}`")
        if not check:
            write_text(text, path)
            typer.echo(str(path))


def pages() -> dict[str, str]:
    """The pages' text by file name."""
    return {
        "topics.md": "\n".join(_topics()),
        "parameters.md": "\n".join(_parameters()),
        "worlds.md": world_page(_MADE),
        "errors.md": error_page(_MADE),
    }


def tables() -> dict[str, Sequence[Option[Any]]]:
    """The parameters of each node."""
    return {node: importlib.import_module(f"{node_package(node)}.settings").TABLE for node in NODES}


def _topics() -> Iterator[str]:
    yield f"# Topics and services\n\n{_MADE}"
    yield (
        "`fetch-sim2real check-graph` compares a running graph with this. Names are relative, so that a namespace "
        "applies to them, but for `/clock` and `/diagnostics`; those under a node's name are private to it and follow "
        "it when it is renamed. All can be remapped.\n"
    )
    yield from _table_of(graph.CONTRACT)
    yield (
        "\n## What fields mean\n\nThe messages are standard ones. Where a meaning has no field of its own, this one "
        "carries it; `fetch_sim2real/messages/motion.py` is the only place that reads and writes them.\n\n"
        "| topic | field | meaning |\n|---|---|---|"
    )
    yield from (f"| `{topic.name}` | `{field}` | {meaning} |" for topic, field, meaning in FIELD_MEANINGS)
    yield (
        "\nGoal status, move status and outcome are JSON objects in a `std_msgs/msg/String` "
        "(`fetch_sim2real/messages/statuses.py`), and so are the answers of `/arm_driver/enable` and `/sim/reset`."
    )
    yield "\n## In shadow mode\n\nWhat a driver with `mode:=shadow` would have sent. Recorded, not in the contract.\n"
    yield from _table_of((graph.SHADOW_ARM, graph.SHADOW_GRIPPER))
    yield "\n## Between simulation and camera node\n\nOnly with `software-device`.\n"
    yield from _table_of(graph.SIM_CAMERA)
    yield "\n## Services\n\nAll are `std_srvs/srv/Trigger`.\n\n| service | what it does |\n|---|---|"
    yield from (f"| `{name}` | {meaning} |" for name, meaning in _SERVICES)
    yield ""


def _table_of(topics: Sequence[Topic]) -> Iterator[str]:
    yield "| topic | type | from → to | QoS offered → asked | frame | rate |\n|---|---|---|---|---|---|"
    for topic in topics:
        only = " (simulation)" if topic.simulation_only else ""
        ends = f"{topic.publisher} → {', '.join(topic.subscribers) or 'nobody'}".replace("*", "every node")
        qos = f"{_qos(topic.publish)} → {_qos(topic.subscribe)}"
        yield f"| `{topic.name}`{only} | {topic.type} | {ends} | {qos} | {topic.frame_id or ''} | {topic.rate_text} |"


def _qos(qos: Qos) -> str:
    kind = "reliable" if qos.reliability == "reliable" else "best effort"
    return f"{kind} {qos.depth}" + (" latched" if qos.durability == "transient_local" else "")


def _parameters() -> Iterator[str]:
    yield f"# Parameters and launch arguments\n\n{_MADE}"
    yield (
        "A wrong value, type or name is refused when the node starts, and when a parameter is set later, with what was "
        "expected. Parameters are fixed at the start unless they are marked as changeable.\n"
    )
    for node, table in tables().items():
        yield f"## `{node}`\n\n| parameter | default | allowed | meaning |\n|---|---|---|---|"
        yield from (_row(parameter) for parameter in table)
        yield ""
    yield (
        "A parameter file for `params_file:=`, in which `/**/` stands for any namespace; `config/robot.yaml`, which is "
        "installed too, is one to start from:\n\n```yaml\n/**/arm_driver:\n"
        "  ros__parameters:\n    speed_scale: 0.5\n```\n"
    )
    for name, options in LAUNCH_FILES.items():
        yield f"## `{name}`\n"
        yield from _arguments(options)
    yield "## Every launch file\n"
    yield from _arguments(PlacementOptions)


LAUNCH_FILES: Final[Mapping[str, type]] = {
    "robot.launch.py": RobotGraphOptions,
    "sim.launch.py": SimGraphOptions,
    "record.launch.py": RecordOptions,
    "playback.launch.py": PlaybackOptions,
}


def _row(parameter: Option[Any]) -> str:
    unit = f" {parameter.unit}" if parameter.unit else ""
    if parameter.choices:
        allowed = ", ".join(f"`{choice}`" for choice in parameter.choices)
    elif parameter.low is not None or parameter.high is not None:
        low, high = ("" if bound is None else f"{bound:g}" for bound in (parameter.low, parameter.high))
        allowed = f"{low} to {high}{unit}" if high else f"{low}{unit} or more"
    else:
        allowed = type(parameter.default).__name__
    changeable = " (changeable)" if parameter.changeable else ""
    return f"| `{parameter.name}` | {_code(parameter.default)} | {allowed} | {parameter.description}{changeable} |"


def _code(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else "empty"


def _arguments(options: type) -> Iterator[str]:
    yield "| argument | default | choices | meaning |\n|---|---|---|---|"
    for argument in arguments_of(options):
        choices = ", ".join(f"`{choice}`" for choice in argument.choices if choice)
        yield f"| `{argument.name}` | {_code(argument.default)} | {choices} | {argument.description} |"
    yield ""
