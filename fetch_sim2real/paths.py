"""Where the files that come with the project are: in a clone, in an installed wheel, in a colcon install.

Worlds lie inside this package. Policies, parameter files and launch files lie in ``<clone>/<kind>``, or, once
installed, in ``<prefix>/share/fetch_sim2real/<kind>``: the place that ROS prescribes, and that a wheel fills too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from fetch_sim2real.errors import SetupError

SharedKind = Literal["policies", "config", "launch"]

_PACKAGE: Final = Path(__file__).resolve().parent
_SHARE: Final = Path("share") / _PACKAGE.name
_MANIFEST: Final = "manifest.json"


def clone_root(package: Path = _PACKAGE) -> Path | None:
    """The clone that ``package`` is imported from; None where it is installed."""
    root = package.parent
    return root if (root / "package.xml").is_file() and (root / "setup.py").is_file() else None


def shared_dir(kind: SharedKind, package: Path = _PACKAGE) -> Path:
    """Folder of the policies, parameter files or launch files that belong to this copy of the package.

    Raises ``SetupError`` if this copy has none.
    """
    root = clone_root(package)
    if root is not None:
        candidates = [root / kind]
    else:
        # site-packages lies two to four levels below its prefix, depending on who installed it.
        candidates = [parent / _SHARE / kind for parent in package.parents]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise SetupError(
        f"no folder of {kind} belongs to the package in {package}, expected "
        f"{root / kind if root else _SHARE / kind} {'' if root else 'below one of its parent folders'}".rstrip()
        + "; install the project again (`make venv`, `pip install`, or `colcon build`)"
    )


def worlds_dir() -> Path:
    """Folder of the world files that come with the package."""
    return _PACKAGE / "worlds"


def world_names() -> tuple[str, ...]:
    """Names that ``find_world`` knows, sorted."""
    return tuple(sorted(path.stem for path in worlds_dir().glob("*.yaml")))


def find_world(name_or_path: str | Path) -> Path:
    """The world file called ``name_or_path`` (``nominal``), or the file at that path.

    Raises ``SetupError`` with the available names if there is neither.
    """
    shipped = worlds_dir() / f"{name_or_path}.yaml"
    if str(name_or_path) in world_names():
        return shipped
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    raise SetupError(
        f"world '{name_or_path}' is neither a shipped world nor a file, shipped: {', '.join(world_names()) or 'none'}"
    )


def policy_names() -> tuple[str, ...]:
    """Names that ``find_policy`` knows, sorted."""
    return tuple(sorted(path.parent.name for path in shared_dir("policies").glob(f"*/{_MANIFEST}")))


def find_policy(name_or_path: str | Path) -> Path:
    """Folder of the shipped policy bundle called ``name_or_path``, or the folder at that path.

    Raises ``SetupError`` with the available names if there is neither. The bundle itself is checked when it is loaded.
    """
    if str(name_or_path) in policy_names():
        return shared_dir("policies") / name_or_path
    path = Path(name_or_path).expanduser()
    if (path / _MANIFEST).is_file():
        return path
    raise SetupError(
        f"policy '{name_or_path}' is neither a shipped policy nor a folder with a {_MANIFEST}, "
        f"shipped: {', '.join(policy_names()) or 'none'}"
    )
