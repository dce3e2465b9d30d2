"""Which way imports go: down the layers of the library; nodes do not know each other; help needs nothing heavy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from fetch_sim2real.arm.fetch.spec import FETCH

ROOT: Final = Path(__file__).resolve().parents[1]
LIBRARY: Final = ROOT / "fetch_sim2real"
NODES: Final = ("policy_node", "camera_node", "arm_driver", "sim_bridge")

# The layers of the library, lowest first: each imports only those below it, and itself.
LAYERS: Final = (
    ("errors", "types", "timing", "paths", "common", "graph", "rosbridge"),
    ("arm",),
    ("workcell",),
    ("perception",),
    ("messages",),
    ("control",),
    ("policy",),
    ("tasks",),
    ("stack",),
    ("sim",),
    ("episode",),
    ("envs",),
    ("training",),
    ("bags",),
    ("calibration",),
    ("evaluation",),
    ("reports",),
    ("api",),
    ("operation",),
    ("ros",),
    ("cli",),
)
# Lines of a short file, and how many of them may have one importer alone.
SHORT: Final = 90
MOST_SHORT: Final = 5
RANK: Final = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
# Imports every module of the library but ``ros`` with ROS out of reach. Commands may need ROS when they run.
IMPORT_LIBRARY = """
import importlib, importlib.util, pkgutil, sys

class NoRos:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ("rclpy", "launch", "launch_ros", "std_srvs", "builtin_interfaces", "rcl_interfaces") or (
            top.endswith("_msgs")
        ):
            raise ModuleNotFoundError(f"{name} is out of reach", name=name)

sys.meta_path.insert(0, NoRos())
import fetch_sim2real
for module in pkgutil.walk_packages(fetch_sim2real.__path__, "fetch_sim2real."):
    if module.name.split(".")[1] in ("ros", "cli"):
        continue
    if module.name.startswith("fetch_sim2real.sim.drake.") and not importlib.util.find_spec("pydrake"):
        continue
    importlib.import_module(module.name)
    print(module.name)
"""

# Says which of the heavy packages the command line has imported before any subcommand runs.
HELP_IMPORTS = """
import sys
import fetch_sim2real.cli.main
print(*sorted({"rclpy", "torch", "mujoco", "numpy", "mink", "cv2"} & set(sys.modules)))
"""


def sources(*packages: str) -> Iterator[Path]:
    """Python files of packages."""
    for package in packages:
        yield from sorted((ROOT / package).rglob("*.py"))


def imported_modules(source: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def mentioned_modules(source: Path) -> Iterator[str]:
    """Modules that a file imports or names in a string."""
    yield from imported_modules(source)
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^fetch_sim2real(?:\.\w+)+$", node.value)


def test_every_module_has_its_floor() -> None:
    modules = {path.stem for path in LIBRARY.glob("*.py")} | {
        path.parent.name for path in LIBRARY.glob("*/__init__.py")
    }
    assert modules - {"__init__"} <= set(RANK)


def test_imports_go_down() -> None:
    upward = set()
    for source in sources("fetch_sim2real"):
        layer = source.relative_to(LIBRARY).with_suffix("").parts[0]
        for module in mentioned_modules(source):
            package, _, rest = module.partition(".")
            imported = rest.partition(".")[0]
            if package == "fetch_sim2real" and RANK.get(imported, -1) > RANK.get(layer, len(RANK)):
                upward.add((source.relative_to(LIBRARY).as_posix(), imported))
    assert not upward


def test_nodes_do_not_know_each_other_and_the_library_knows_none() -> None:
    for package in ("fetch_sim2real", *NODES):
        others = set(NODES) - {package}
        for source in sources(package):
            wrong = others & {module.partition(".")[0] for module in mentioned_modules(source) if "." in module}
            assert not wrong, f"{source.relative_to(ROOT)} imports {wrong}"


def test_no_module_imports_itself_by_a_detour() -> None:
    modules = {
        ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): source
        for source in sources("fetch_sim2real", *NODES)
    }
    imports = defaultdict(set)
    for name, source in modules.items():
        for node in ast.parse(source.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    found = f"{node.module}.{alias.name}"
                    imports[name].add(found if found in modules else node.module)
            elif isinstance(node, ast.Import):
                imports[name].update(alias.name for alias in node.names)
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name in done or name not in modules:
            return
        for imported in imports[name]:
            visit(imported, (*way, name))
        done.add(name)

    for name in modules:
        visit(name, ())


def test_what_is_one_concept_is_one_file() -> None:
    """A short file that a single other one imports belongs into that one, unless it is a concept of its own."""
    files = {
        ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): source
        for source in sources("fetch_sim2real", *NODES)
    }
    importers = defaultdict(set)
    for name, source in files.items():
        for module in imported_modules(source):
            importers[module if module in files else module.rpartition(".")[0]].add(name)
    crumbs = {
        name
        for name, source in files.items()
        if source.name != "__init__.py"
        and len(importers[name]) == 1
        and len(source.read_text(encoding="utf-8").splitlines()) <= SHORT
    }
    assert len(crumbs) <= MOST_SHORT, sorted(crumbs)


@pytest.mark.parametrize("package", ["rclpy", "launch_ros"])
def test_ros_is_imported_in_the_upper_floors_and_in_nodes(package: str) -> None:
    for source in sources("fetch_sim2real"):
        if source.relative_to(LIBRARY).parts[0] not in ("ros", "cli"):
            assert package not in {module.partition(".")[0] for module in mentioned_modules(source)}, source


def test_physics_is_known_to_the_engine_the_arm_and_the_expected_view_alone() -> None:
    allowed = ("arm/", "sim/mujoco/", "calibration/expected_view.py", "common/physics.py")
    for source in sources("fetch_sim2real", *NODES):
        if not source.as_posix().removeprefix(f"{LIBRARY.as_posix()}/").startswith(allowed):
            physics = {m for m in mentioned_modules(source) if m.startswith("fetch_sim2real.common.physics")}
            assert not physics, f"{source.relative_to(ROOT)} imports {physics}"


def test_mujoco_is_imported_in_one_place_that_copes_with_any_opengl() -> None:
    for source in sources("fetch_sim2real", *NODES):
        if source != LIBRARY / "common" / "physics.py":
            imported = {module.partition(".")[0] for module in mentioned_modules(source)}
            assert not {"mujoco", "mink"} & imported, source


def test_the_library_imports_without_ros() -> None:
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_LIBRARY], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "fetch_sim2real.graph" in result.stdout.splitlines()


def test_help_imports_nothing_heavy() -> None:
    result = subprocess.run([sys.executable, "-c", HELP_IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_only_arm_fetch_names_a_joint_or_link_of_a_fetch() -> None:
    named = {*FETCH.command_joints, *FETCH.links, FETCH.torso_joint}
    stems = {name.rsplit("_", 1)[0] for name in named} | {"bellows", "head_pan", "head_tilt", "torso_fixed"}
    words = re.compile("|".join([*sorted(stems - {"gripper"}), "gripper_link"]))
    fetch = LIBRARY / "arm" / "fetch"
    for source in sources("fetch_sim2real", *NODES):
        if not source.is_relative_to(fetch):
            found = words.findall(source.read_text(encoding="utf-8"))
            assert not found, f"{source.relative_to(ROOT)} names {sorted(set(found))}: take them from an ArmSpec"


def test_the_fetch_is_chosen_in_one_place() -> None:
    inside = LIBRARY / "arm" / "fetch"
    choosing = [
        source.relative_to(LIBRARY).as_posix()
        for source in sources("fetch_sim2real", *NODES)
        if not source.is_relative_to(inside)
        and any(module.startswith("fetch_sim2real.arm.fetch") for module in mentioned_modules(source))
    ]
    assert choosing == ["arm/default.py"]


@pytest.mark.parametrize("layer", ["arm", "control", "messages"])
def test_the_number_of_a_fetchs_joints_stands_in_arm_fetch_alone(layer: str) -> None:
    for source in sources(f"fetch_sim2real/{layer}"):
        if not source.is_relative_to(LIBRARY / "arm" / "fetch"):
            assert not re.search(r"(?<![\w.])7(?![\w.])", source.read_text(encoding="utf-8")), source
