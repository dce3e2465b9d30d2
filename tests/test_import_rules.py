"""Which way imports go: the core needs no ROS, nodes do not know each other, and help needs neither."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NODES = ("policy_node", "camera_node", "arm_driver", "sim_bridge", "recorder", "bag_player")
MAY_IMPORT = {
    "fetch_sim2real": set[str](),
    "fetch_training": {"fetch_sim2real"},
    "node_support": {"fetch_sim2real"},
    "operator_cli": {"fetch_sim2real", "node_support"},
    **{node: {"fetch_sim2real", "node_support"} for node in NODES},
}

# Imports every module of the core with ROS out of reach. Subcommands that run nodes may need ROS, when they run.
IMPORT_CORE = """
import importlib, pkgutil, sys

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
    importlib.import_module(module.name)
    print(module.name)
"""

# Says which of the heavy packages the command line has imported before any subcommand runs.
HELP_IMPORTS = """
import sys
import fetch_sim2real.cli.main
print(*sorted({"rclpy", "torch", "mujoco", "numpy", "mink", "cv2"} & set(sys.modules)))
"""


def imported_packages(source: Path) -> Iterator[str]:
    """Top-level names that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_mujoco_is_imported_in_one_place_that_copes_with_any_opengl() -> None:
    for package in MAY_IMPORT:
        for source in (ROOT / package).rglob("*.py"):
            if source != ROOT / "fetch_sim2real" / "physics.py":
                assert not {"mujoco", "mink"} & set(imported_packages(source)), source


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_they_may(package: str) -> None:
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    for source in (ROOT / package).rglob("*.py"):
        wrong = forbidden & set(imported_packages(source))
        assert not wrong, f"{source.relative_to(ROOT)} imports {wrong}"


def test_the_core_imports_without_ros() -> None:
    result = subprocess.run([sys.executable, "-c", IMPORT_CORE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "fetch_sim2real.graph" in result.stdout.splitlines()


def test_help_imports_nothing_heavy() -> None:
    result = subprocess.run([sys.executable, "-c", HELP_IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
