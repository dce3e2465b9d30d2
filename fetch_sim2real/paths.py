"""Where the files that come with the project are: in a clone, in an installed wheel, in a colcon install.

Worlds lie inside this package. Policies, parameter files and launch files lie in ``<clone>/<kind>``, or, once
installed, in ``<prefix>/share/fetch_sim2real/<kind>``: the place that ROS prescribes, and that a wheel fills too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal

from fetch_sim2real.errors import SetupError

SharedKind = Literal["policies", "config", "launch"]

_PACKAGE: Final = Path(__file__).resolve().parent
_SHARE: Final = Path("share") / _PACKAGE.name
_MANIFEST: Final = "manifest.json"


def clone_root(package: Path = _PACKAGE) -> Path | None:
    """Return the clone that ``package`` is imported from; None where it is installed."""
    root = package.parent
    return root if (root / "package.xml").is_file() and (root / "setup.py").is_file() else None


def expanded(path: str | Path) -> Path:
    """Return ``path`` with ``~`` and ``~user`` replaced by the home folder. ``SetupError`` where nobody has one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SetupError(
            f"{path} begins with a home folder that this machine does not know: write the whole path"
        ) from None


def shared_dir(kind: SharedKind, package: Path = _PACKAGE) -> Path:
    """Return the folder of the policies, parameter files or launch files that belong to this copy of the package.

    Raises ``SetupError`` if this copy has none.
    """
    root = clone_root(package)
    # Once installed, the package lies two to four levels below its prefix, depending on who installed it.
    candidates = [parent / _SHARE / kind for parent in package.parents] if root is None else [root / kind]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    expected = f"{_SHARE / kind} below a parent of it" if root is None else str(root / kind)
    raise SetupError(
        f"the package in {package} has no folder of {kind}, expected {expected}; "
        "install the project again (`make venv`, `pip install` or `colcon build`)"
    )


def worlds_dir() -> Path:
    """Return the folder of the world files that come with the package (``sim.world_file.load_world`` takes it)."""
    return _PACKAGE / "worlds"


def world_names() -> tuple[str, ...]:
    """Return the names of the worlds that come with the package, sorted."""
    return tuple(sorted(path.stem for path in worlds_dir().glob("*.yaml")))


def policy_names() -> tuple[str, ...]:
    """Return the names that ``find_policy`` knows, sorted; none where no policies are shipped."""
    try:
        policies = shared_dir("policies")
    except SetupError:
        return ()
    return tuple(sorted(path.parent.name for path in policies.glob(f"*/{_MANIFEST}")))


def policy_task(folder: Path) -> str:
    """Return the task that a bundle's manifest names, without loading the bundle. ``SetupError`` if it names none."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        return str(manifest["task"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(f"{folder / _MANIFEST} does not say which task the policy is for: {error!r}") from error


def find_policy(name_or_path: str | Path) -> Path:
    """Return the folder of the shipped policy bundle called ``name_or_path``, or the folder at that path.

    Raises ``SetupError`` with the available names if there is neither. The bundle itself is checked when it is loaded.
    """
    if str(name_or_path) in policy_names():
        return shared_dir("policies") / name_or_path
    path = expanded(name_or_path)
    if (path / _MANIFEST).is_file():
        return path
    raise SetupError(
        f"policy '{name_or_path}' is neither a shipped policy nor a folder with a {_MANIFEST}, "
        f"shipped: {', '.join(policy_names()) or 'none'}"
    )
