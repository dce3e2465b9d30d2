"""Which ways from the driver to a robot there are: this package's, and those of packages installed beside it."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Final

from fetch_sim2real.errors import SetupError
from fetch_sim2real.graph import JOINT_TRAJECTORY, ROSBRIDGE

BUILT_IN: Final = (JOINT_TRAJECTORY, ROSBRIDGE)
# A package that declares an entry point of this group adds a back end of that name (docs/bring_your_own.md).
ENTRY_POINTS: Final = "fetch_sim2real.backends"


def backend_names() -> tuple[str, ...]:
    """Return all that can be chosen on this machine."""
    return tuple(dict.fromkeys((*BUILT_IN, *sorted(entry.name for entry in _declared()))))


def added_backend(name: str) -> EntryPoint | None:
    """Return what another package declares as the back end ``name``, if one does.

    SetupError if it is not the only one.
    """
    found = {entry.value: entry for entry in _declared() if entry.name == name}
    if found and (name in BUILT_IN or len(found) > 1):
        others = ", ".join([*sorted(found), *(["fetch_sim2real itself"] if name in BUILT_IN else [])])
        raise SetupError(
            f"several packages have a back end '{name}': {others}. Rename one in its package's entry points "
            f"'{ENTRY_POINTS}', or uninstall it"
        )
    return next(iter(found.values()), None)


def _declared() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINTS))
