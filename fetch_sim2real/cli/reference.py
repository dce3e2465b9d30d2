"""``fetch-sim2real reference``: the pages that follow from the code: topics, parameters, worlds, errors."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import BaseModel

from fetch_sim2real import errors, graph
from fetch_sim2real.cli.paper_ranges import paper_table
from fetch_sim2real.common.option import Option, arguments_of
from fetch_sim2real.common.outputs import require_folder_place, write_text
from fetch_sim2real.common.ranges import Range, Varies
from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.graph import Qos, Topic
from fetch_sim2real.messages.motion import FIELD_MEANINGS
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.stack.options import (
    PlacementOptions,
    PlaybackOptions,
    RecordOptions,
    RobotGraphOptions,
    SimGraphOptions,
)
from fetch_sim2real.stack.processes import node_package
from fetch_sim2real.tasks.registry import find_task

_ROOT: Final = Path(errors.__file__).resolve().parents[1]
_ERRORS_INTRODUCTION: Final = """\
Errors are one line: what was got, what was expected, what to do next. A node prints it and
ends with status 1, a command likewise; a stack trace is a fault of ours.

| error | where | meaning |
|---|---|---|
"""
_REFUSALS: Final = """
## Refusals

Single commands and goals are refused while everything goes on: the reasons and counts are on `/diagnostics`
(`decisions_refused_...` of the driver, `goal` of the policy). What the driver refuses and why: [safety](safety.md).

`python -m benchmarks.mutations` breaks every input (messages, what rosbridge sends, bags, bundles, calibration, world,
suite and parameter files, parameters) in 10 000 ways each and counts crashes, hangs, and refusals that do not say in
one line what was got; there should be none. `--only INPUT --mutant NUMBER` repeats one that failed.
`tests/test_mutations.py` tries a share of them.
"""


def error_page(made: str) -> str:
    """Return the page's text; ``made`` says what made it."""
    rows = [f"| `{name}` | `{where}` | {text} |" for name, where, text in sorted(_classes())]
    return f"# Errors\n\n{made}\n{_ERRORS_INTRODUCTION}" + "\n".join(rows) + "\n" + _REFUSALS


def _classes() -> Iterator[tuple[str, str, str]]:
    """Name, module and meaning of the base's descendants; read, not imported: some need ROS or a camera's SDK."""
    found = {}
    for package in sorted(path.parent.name for path in _ROOT.glob("*/__init__.py")):
        for source in sorted((_ROOT / package).rglob("*.py")):
            module = ".".join(source.relative_to(_ROOT).with_suffix("").parts)
            for node in ast.parse(source.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    found[node.name] = (module, node)
    family = {FetchSim2RealError.__name__}
    while fresh := {name for name, (_, node) in found.items() if _bases(node) & family} - family:
        family |= fresh
    for name in family:
        module, node = found[name]
        yield name, module, " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def _bases(node: ast.ClassDef) -> set[str]:
    return {base.id for base in node.bases if isinstance(base, ast.Name)}


_SHOWN: Final = ("nominal", "randomized", "randomized_v2")
_EXAMPLE: Final = "push"
_WORLDS_INTRODUCTION: Final = """A world is a YAML file. It may name another in `extends` and state only what differs;
`widen: 1.5` then makes every range one and a half times as wide. A number that may vary is written as one value or as a
range, `[low, high]`, from which each episode draws; three numbers that vary are a list of such. Lengths are in metres,
times in seconds, angles in degrees, colours in 0..1; frames are `base_link`. What is missing, unknown or out of bounds
is refused and named. The driver and the policy read the section `workcell` alone, so a file that holds
nothing else is enough for them. To see a world: `fetch-sim2real contact-sheet --world my_lab.yaml`.

```yaml
extends: randomized
name: my_lab
description: our table and our lamps
workcell: {table: {height_m: [0.70, 0.72]}}
light: {shadow_probability: 0.8}
```
"""


def world_page(made: str) -> str:
    """Return the page's text; ``made`` says what made it."""
    worlds = [load_world(name, worlds_dir()) for name in _SHOWN]
    lines = [f"# World files\n\n{made}\n{_WORLDS_INTRODUCTION}", *_list_of_worlds()]
    for field in World.model_fields:
        values = [getattr(world, field) for world in worlds]
        if field == "tasks":
            values = [world.episode_of(find_task(_EXAMPLE)) for world in worlds]
            lines.append(f"## `tasks`\n\n{_of_tasks('task')}; those of `{_EXAMPLE}`:\n")
        elif field == "objects":
            ((name, _),) = find_task(_EXAMPLE).objects.items()
            values = [world.objects_of(find_task(_EXAMPLE))[name] for world in worlds]
            lines.append(f"## `objects`\n\n{_of_tasks('object')}; those of `{name}` in `{_EXAMPLE}`:\n")
        elif isinstance(values[0], BaseModel):
            lines.append(f"## `{field}`\n\n{_first_paragraph(type(values[0]))}\n")
        else:
            continue
        lines += [f"| field | bounds | {' | '.join(_SHOWN)} |", f"|---|---|{'---|' * len(_SHOWN)}"]
        lines += [f"| `{path}` | {bounds} | {' | '.join(texts)} |" for path, bounds, texts in _rows("", values)]
        lines.append("")
    lines += paper_table(worlds[-1], _text)
    return "\n".join(lines)


def _list_of_worlds() -> Iterator[str]:
    yield "## Worlds that come with the package\n\n| world | what it is |\n|---|---|"
    for path in sorted(worlds_dir().glob("*.yaml")):
        yield f"| `{path.stem}` | {load_world(path.stem, worlds_dir()).description} |"
    yield ""


def _of_tasks(what: str) -> str:
    """Return the sentence about a section that changes what stands in tasks' own files."""
    return (
        f"What differs from [the tasks' own files](tasks.md), by the {what}'s name; what is not given stays as it is "
        f"there. The same fields for each {what}"
    )


def _rows(prefix: str, records: Sequence[BaseModel]) -> Iterator[tuple[str, str, list[str]]]:
    for name, field in type(records[0]).model_fields.items():
        values = [getattr(record, name) for record in records]
        if isinstance(values[0], BaseModel) and not isinstance(values[0], Range):
            yield from _rows(f"{prefix}{name}.", values)
        else:
            yield f"{prefix}{name}", _bounds(field.metadata), [_text(value) for value in values]


def _bounds(metadata: list[Any]) -> str:
    for item in metadata:
        if isinstance(item, Varies):
            return ", ".join(f"{low:g} to {high:g}" for low, high in dict.fromkeys(item.limits()))
    limits = {key: getattr(item, key) for item in metadata for key in ("gt", "ge", "lt", "le") if hasattr(item, key)}
    words = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
    return " ".join(f"{words[key]} {value:g}" for key, value in limits.items())


def _text(value: Any) -> str:
    if isinstance(value, Range):
        return f"{value.low:g}" if value.low == value.high else f"{value.low:g} to {value.high:g}"
    if isinstance(value, tuple):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("|", "\\|")


def _first_paragraph(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

NODES: Final = (
    graph.POLICY_NODE, graph.ARM_DRIVER, graph.CAMERA_NODE, graph.SIM_BRIDGE, graph.RECORDER, graph.BAG_PLAYER,
    graph.SCENE_PUBLISHER,
)  # fmt: skip
_MADE: Final = "*Made by `fetch-sim2real reference --docs docs`. A test fails when it is out of date.*\n"
_SERVICES: Final = (
    (graph.DRIVER_ENABLE, "follow commands from now on; refused with the reason where that is not safe"),
    (graph.DRIVER_DISABLE, "brake and follow no more commands"),
    (graph.DRIVER_STOP, "brake and stay stopped until reset"),
    (graph.DRIVER_RESET, "leave STOPPED or FAULT; `enable` is still needed"),
    (graph.POLICY_START, "act on the goal"),
    (graph.POLICY_HOLD, "answer every frame with a hold until started"),
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
    """Return the pages' text by file name."""
    return {
        "topics.md": "\n".join(_topics()),
        "parameters.md": "\n".join(_parameters()),
        "worlds.md": world_page(_MADE),
        "errors.md": error_page(_MADE),
    }


def tables() -> dict[str, Sequence[Option[Any]]]:
    """Return the parameters of each node."""
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
    yield (
        "\n## What the operator does\n\nEach step of `operate` and each label, a JSON object. Recorded, not in the "
        "contract.\n"
    )
    yield from _table_of((graph.OPERATOR_EVENTS,))
    yield "\n## Between simulation and camera node\n\nOnly with `software-device`.\n"
    yield from _table_of(graph.SIM_CAMERA)
    yield (
        "\n## For RViz and Foxglove\n\nOnly with `scene:=true`: a node of its own publishes them ([view](view.md)), "
        "and nothing that moves the robot hears them. `/tf` and `/tf_static` need the ROS package `tf2_msgs`, the "
        "markers `visualization_msgs`; where one is missing the node says so and publishes the others.\n"
    )
    yield from _table_of(graph.SCENE)
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
