"""The page docs/worlds.md: every field of a world file with its bounds, from the models that check it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from fetch_sim2real.common.ranges import Range, Varies
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.tasks.registry import find_task

_SHOWN: Final = ("nominal", "randomized")
_EXAMPLE: Final = "push"
_INTRODUCTION: Final = """A world is a YAML file. It may name another in `extends` and state only what differs;
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
    """The page's text; ``made`` says what made it."""
    worlds = [load_world(name, worlds_dir()) for name in _SHOWN]
    lines = [f"# World files\n\n{made}\n{_INTRODUCTION}"]
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
        lines += [f"| field | bounds | {_SHOWN[0]} | {_SHOWN[1]} |", "|---|---|---|---|"]
        lines += [f"| `{path}` | {bounds} | {a} | {b} |" for path, bounds, a, b in _rows("", *values)]
        lines.append("")
    return "\n".join(lines)


def _of_tasks(what: str) -> str:
    """Return the sentence about a section that changes what stands in tasks' own files."""
    return (
        f"What differs from [the tasks' own files](tasks.md), by the {what}'s name; what is not given stays as it is "
        f"there. The same fields for each {what}"
    )


def _rows(prefix: str, first: BaseModel, second: BaseModel) -> Iterator[tuple[str, str, str, str]]:
    for name, field in type(first).model_fields.items():
        one, other = getattr(first, name), getattr(second, name)
        if isinstance(one, BaseModel) and not isinstance(one, Range):
            yield from _rows(f"{prefix}{name}.", one, other)
        else:
            yield f"{prefix}{name}", _bounds(field.metadata), _text(one), _text(other)


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
