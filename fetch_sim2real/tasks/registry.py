"""Which tasks there are: those of this package, one module each, and those of packages installed beside it.

Names are found without importing a task, so that a broken package disturbs nobody who does not ask for its task.
"""

from __future__ import annotations

import pkgutil
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fetch_sim2real.errors import FetchSim2RealError, SetupError

if TYPE_CHECKING:
    from fetch_sim2real.tasks import base

# A package that declares an entry point of this group adds a task of that name (docs/tasks.md).
ENTRY_POINTS: Final = "fetch_sim2real.tasks"
_NOT_TASKS: Final = ("base", "carrying", "registry", "scripted_baseline")


@cache
def built_in_names() -> tuple[str, ...]:
    """Return the names of this package's own tasks."""
    modules = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return tuple(sorted(name for name in modules if name not in _NOT_TASKS))


def task_names() -> tuple[str, ...]:
    """Return the names of all tasks on this machine, whether they can be loaded or not."""
    return tuple(dict.fromkeys((*built_in_names(), *sorted(entry.name for entry in _declared()))))


def require_task_name(name: str) -> str:
    """Return ``name`` if a task is called so; the task itself is not loaded.

    Raises:
        FetchSim2RealError: there is none of that name; the text names those that there are.
    """
    if name not in task_names():
        close = get_close_matches(name, task_names(), n=1)
        suggestion = f"; did you mean '{close[0]}'?" if close else ""
        raise FetchSim2RealError(f"task '{name}' is unknown, available: {', '.join(task_names())}{suggestion}")
    return name


def find_task(name: str) -> base.Task:
    """Return the task called ``name``.

    Raises:
        FetchSim2RealError: there is none of that name; the text names those that there are.
        SetupError: another package's task cannot be loaded, or several are called so; the text names the packages.
    """
    added = {entry.value: entry for entry in _declared() if entry.name == name}
    is_built_in = name in built_in_names()
    if added and (is_built_in or len(added) > 1):
        own = ["fetch_sim2real itself"] if is_built_in else []
        raise SetupError(
            f"several packages have a task '{name}': {', '.join([*map(_origin, added.values()), *own])}. Rename one in "
            f"its package's entry points '{ENTRY_POINTS}', or uninstall it"
        )
    if is_built_in:
        return _built_in(name)
    require_task_name(name)
    return _loaded(next(iter(added.values())))


def objects_of_built_in_tasks() -> set[str]:
    """Return the names of the objects in this package's tasks, without a look at other packages."""
    return {body for name in built_in_names() for body in _built_in(name).bodies}


def objects_of_added_tasks() -> set[str]:
    """Return the names of the objects in other packages' tasks, as far as these can be loaded."""
    names: set[str] = set()
    for name in set(task_names()) - set(built_in_names()):
        with suppress(FetchSim2RealError):
            names |= set(find_task(name).objects)
    return names


def _built_in(name: str) -> base.Task:
    return _checked(import_module(f"{__package__}.{name}").TASK, name, "fetch_sim2real")


def _loaded(entry: EntryPoint) -> base.Task:
    try:
        found = entry.load()
    # Another package's module may raise anything.
    except Exception as error:
        raise SetupError(
            f"the task '{entry.name}' of the package {_origin(entry)} cannot be loaded ({type(error).__name__}: "
            f"{error}); repair or uninstall that package"
        ) from error
    return _checked(found, entry.name, _origin(entry))


def _checked(found: object, name: str, origin: str) -> base.Task:
    # Imported when a task is: names alone are to be had quickly.
    from fetch_sim2real.tasks.base import Task

    if not isinstance(found, Task):
        raise SetupError(
            f"the task '{name}' of the package {origin} is a {type(found).__name__}, expected a fetch_sim2real.tasks."
            "base.Task"
        )
    if found.name != name:
        raise SetupError(
            f"the task '{name}' of the package {origin} calls itself '{found.name}', expected the same name in both "
            "places"
        )
    return found


def _origin(entry: EntryPoint) -> str:
    """Return the package that declares ``entry``, and what it names."""
    package = entry.dist.name if entry.dist is not None else "of an unknown name"
    return f"{package} ({entry.value})"


def _declared() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINTS))
