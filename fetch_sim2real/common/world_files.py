"""World files: YAML in sections, of which each reader takes what it needs.

A file may name another in ``extends`` and state only what differs; ``widen: 1.5`` beside it takes that other world with
ranges 1.5 times as wide (``scale_ranges``). The simulation reads all sections (``sim.world_file``), the driver and the
policy the section ``workcell`` alone (``workcell``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fetch_sim2real.common.ranges import RecordType, scale_ranges
from fetch_sim2real.common.validation import complaint_of, shortened
from fetch_sim2real.common.yaml_files import YamlFileError, is_file, read_yaml
from fetch_sim2real.errors import WorldFileError

# In files of version 0.1 these fields stand in the simulation's sections; the second name is theirs in ``workcell``.
_MOVED: Final = (
    ("robot", None, ("torso_height_m", "workspace_m")),
    ("table", "table", ("height_m", "center_xy_m", "size_xy_m")),
    ("camera", "camera", ("position_m", "look_at_m")),
)
# And these were sections of their own: objects of tasks.
_OBJECTS: Final = ("block", "puck")


def read_world_file(name_or_path: str, directory: Path, model: type[RecordType]) -> RecordType:
    """Return the sections that ``model`` asks for of the world called ``name_or_path`` in ``directory``.

    ``name_or_path`` is a path if it ends in .yaml or .yml.

    Raises:
        WorldFileError: no such world, not YAML, or a value that is missing, unknown or impossible (it is named).
    """
    path = _locate(name_or_path, directory)
    return _validated(_read_merged(path, directory, model, seen=()), path, model)


def _validated(merged: dict[str, Any], path: Path, model: type[RecordType]) -> RecordType:
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        where = shortened(".".join(str(part) for part in first["loc"] if part not in ("low", "high")) or "sections")
        raise WorldFileError(
            f"world file {path}: '{where}': {complaint_of(first)} ({error.error_count()} problem(s) in all)"
        ) from None


def _locate(name_or_path: str, directory: Path) -> Path:
    is_path = name_or_path.endswith((".yaml", ".yml"))
    path = Path(name_or_path) if is_path else directory / f"{name_or_path}.yaml"
    if not is_file(path):
        available = ", ".join(sorted(p.stem for p in directory.glob("*.yaml")))
        raise WorldFileError(
            f"there is no world {shortened(repr(name_or_path))} (looked for {shortened(path, 200)}); available: "
            f"{available}, or a path ending in .yaml"
        )
    return path


def _read_merged(path: Path, directory: Path, model: type[RecordType], seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise WorldFileError(f"world file {path} extends itself by way of {' -> '.join(map(str, seen))}")
    try:
        documents = read_yaml(path)
    except YamlFileError as error:
        raise WorldFileError(f"world file {path} {error}") from None
    content = documents[0] if len(documents) == 1 else documents
    if not isinstance(content, dict):
        raise WorldFileError(f"world file {path} holds {type(content).__name__}, expected a mapping of sections")
    _move_to_workcell(content, path)
    _move_to_objects(content, path)
    _anchor_images(content, path.parent)
    base_name = content.pop("extends", None)
    if not isinstance(base_name, str | None):
        raise WorldFileError(
            f"world file {path}: 'extends' is {shortened(repr(base_name))}, expected the name of another world"
        )
    factor = content.pop("widen", None)
    if factor is not None and (not isinstance(factor, int | float) or not 0.0 < factor <= 10.0 or base_name is None):
        raise WorldFileError(f"world file {path}: 'widen' is {factor!r}, expected a factor up to 10 beside 'extends'")
    if base_name is None:
        return content
    # A base is looked for beside the file first, so that a folder of one's own worlds is self-contained.
    beside = path.parent / f"{base_name}.yaml"
    base = beside if is_file(beside) and beside != path else _locate(str(base_name), directory)
    inherited = _read_merged(base, directory, model, (*seen, path))
    if factor is not None:
        inherited = scale_ranges(_validated(inherited, base, model), float(factor)).model_dump(exclude_unset=True)
    return _merge(inherited, content)


def _move_to_workcell(content: dict[str, Any], path: Path) -> None:
    """Put what a file of an earlier layout says of the workcell into that section."""
    for section, target, names in _MOVED:
        given = content.get(section)
        if not isinstance(given, dict):
            continue
        moved = {name: given.pop(name) for name in names if name in given}
        if not moved:
            continue
        workcell = content.setdefault("workcell", {})
        part = workcell.setdefault(target, {}) if target and isinstance(workcell, dict) else workcell
        if not isinstance(part, dict):
            continue  # a value that cannot be is named by validation
        if twice := sorted(set(part) & set(moved)):
            raise WorldFileError(
                f"world file {path}: '{section}.{twice[0]}' is also given in 'workcell', expected there alone: remove "
                f"it from '{section}'"
            )
        part.update(moved)
        if not given:
            del content[section]


def _move_to_objects(content: dict[str, Any], path: Path) -> None:
    """Put what a file of an earlier layout says of objects into that section."""
    for name in _OBJECTS:
        if name not in content:
            continue
        objects = content.setdefault("objects", {})
        if not isinstance(objects, dict):
            return  # a value that cannot be is named by validation
        if name in objects:
            raise WorldFileError(
                f"world file {path}: '{name}' is also given in 'objects', expected there alone: remove the section "
                f"'{name}'"
            )
        objects[name] = content.pop(name)


def _anchor_images(content: dict[str, Any], folder: Path) -> None:
    """Make paths of pictures absolute: they are relative to the file that names them."""
    for section in content.values():
        if isinstance(section, dict) and isinstance(section.get("images"), list):
            section["images"] = [str(folder / str(image)) for image in section["images"]]


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both_mappings = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_mappings else value
    return merged
