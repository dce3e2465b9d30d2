"""The package description agrees with the tree, and what pip and colcon install finds its files."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import setuptools

import fetch_sim2real
from fetch_sim2real import paths
from fetch_sim2real.errors import SetupError

ROOT = Path(__file__).resolve().parents[1]
NOT_PACKAGED = {"tests", "benchmarks"}

COMMAND_LIMIT_S = 300.0

# Printed by an installed copy: where its files are.
SHOW_PATHS = """
import sys
import fetch_sim2real
from fetch_sim2real import paths
print(fetch_sim2real.__version__)
print(paths.clone_root())
print(*sorted(p.stem for p in paths.worlds_dir().glob("*.yaml")))
for kind in sys.argv[1:]:
    folder = paths.shared_dir(kind)
    print(kind, *sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"))
"""


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The arguments that setup.py gives to setuptools."""
    taken: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **arguments: taken.update(arguments))
        runpy.run_path(str(ROOT / "setup.py"))
    return taken


def package_xml() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


def test_packages_listed_are_the_packages_there(described: dict[str, Any]) -> None:
    there = set()
    for top in ROOT.iterdir():
        if top.name not in NOT_PACKAGED and (top / "__init__.py").is_file():
            there |= {".".join(path.parent.relative_to(ROOT).parts) for path in top.rglob("__init__.py")}
    assert set(described["packages"]) == there


def test_every_folder_with_modules_is_a_package(described: dict[str, Any]) -> None:
    """A folder without ``__init__.py`` would work in a clone and be left out of an installation."""
    for name in {package.partition(".")[0] for package in described["packages"]}:
        for module in (ROOT / name).rglob("*.py"):
            assert (module.parent / "__init__.py").is_file(), module


def test_entry_points_name_functions_that_exist(described: dict[str, Any]) -> None:
    for entry in described["entry_points"]["console_scripts"]:
        _, _, target = entry.partition(" = ")
        module, _, attribute = target.partition(":")
        source = (ROOT / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8")
        names = set()
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        assert attribute in names, entry


def test_the_version_has_one_source(described: dict[str, Any]) -> None:
    assert described["version"] == fetch_sim2real.__version__
    assert package_xml().findtext("version") == fetch_sim2real.__version__
    assert "\nversion" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_package_xml_is_an_ament_python_package() -> None:
    package = package_xml()
    assert package.get("format") == "3"
    assert package.findtext("name") == fetch_sim2real.__name__
    assert package.findtext("export/build_type") == "ament_python"
    assert (ROOT / "resource" / fetch_sim2real.__name__).is_file()


def test_every_ros_package_that_is_imported_is_a_dependency(described: dict[str, Any]) -> None:
    declared = {element.text for element in package_xml() if element.tag.endswith("depend")}
    folders = {package.partition(".")[0] for package in described["packages"]} | {"launch"}
    imported = set()
    for source in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
    tools = ("rclpy", "launch", "launch_ros")
    ros = {name for name in imported if name in tools or name.endswith(("_msgs", "_interfaces", "_srvs"))}
    assert {"rclpy", "sensor_msgs", "launch_ros"} <= ros <= declared


def test_launch_files_are_not_a_package() -> None:
    """A package called ``launch`` would shadow the one of ROS."""
    assert not list((ROOT / "launch").rglob("__init__.py"))


def test_the_colcon_workspace_is_a_relative_link_to_the_clone() -> None:
    link = ROOT / "ros2_ws" / "src" / fetch_sim2real.__name__
    assert link.is_symlink()
    assert os.readlink(link) == "../.."
    assert link.resolve() == ROOT


def test_dependencies_are_explained(described: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    wanted = [*described["install_requires"], *(r for extra in described["extras_require"].values() for r in extra)]
    for requirement in wanted:
        name = requirement.split(">")[0].split("=")[0].split("<")[0]
        assert f"`{name}`" in text, f"docs/dependencies.md does not say why {name} is needed"


def test_files_in_a_clone() -> None:
    assert paths.clone_root() == ROOT
    assert paths.shared_dir("policies") == ROOT / "policies"
    assert (paths.worlds_dir() / "nominal.yaml").is_file()


def test_an_installation_without_policies_says_so(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="share/fetch_sim2real/policies"):
        paths.shared_dir("policies", package=tmp_path / "site-packages" / "fetch_sim2real")


def test_an_unknown_policy_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="neither a shipped policy nor a folder"):
        paths.find_policy(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    assert paths.find_policy(tmp_path) == tmp_path


@pytest.fixture(scope="module")
def source_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree to build in: a build leaves files behind, and two sessions may build at once."""
    copy = tmp_path_factory.mktemp("source") / "clone"
    ignored = shutil.ignore_patterns(".*", "build", "install", "log", "runs", "out", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=ignored)
    return copy


def run(command: list[str], cwd: Path, **environment: str) -> str:
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_LIMIT_S,
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def shared_files(kind: str) -> list[str]:
    """Files of the clone that an installation has to bring along, relative to their folder."""
    found = (path.relative_to(ROOT / kind) for path in (ROOT / kind).rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not any(part.startswith((".", "__")) for part in path.parts))


def expect_installed_files(prefix: Path, cwd: Path) -> None:
    """The copy under ``prefix`` is the one imported, and it finds all that the clone has."""
    shared = {kind: files for kind in ("policies", "config", "launch") if (files := shared_files(kind))}
    purelib = sysconfig.get_path("purelib", vars={"base": str(prefix), "platbase": str(prefix)})
    shown = run([sys.executable, "-c", SHOW_PATHS, *shared], cwd, PYTHONPATH=purelib).splitlines()
    assert shown == [
        fetch_sim2real.__version__,
        "None",
        " ".join(sorted(path.stem for path in paths.worlds_dir().glob("*.yaml"))),
        *(f"{kind} {' '.join(files)}" for kind, files in shared.items()),
    ]


@pytest.mark.slow
def test_an_installed_wheel_finds_its_files(source_copy: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--ignore-installed"]
    run([*pip, "--prefix", str(tmp_path), "--no-warn-script-location", str(source_copy)], tmp_path)
    expect_installed_files(tmp_path, tmp_path)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path), "platbase": str(tmp_path)}))
    (information,) = purelib.glob("*.dist-info")
    top = set((information / "top_level.txt").read_text().split())
    assert top == {"fetch_sim2real", "policy_node", "camera_node", "arm_driver", "sim_bridge"}
    recorded = [line.split(",")[0] for line in (information / "RECORD").read_text().splitlines()]
    here = {name.partition("/")[0] for name in recorded if not name.startswith("..")}
    assert here == {*top, information.name}, "nothing else in site-packages"
    # Whatever is read at run time and is no module.
    for folder in ("worlds", "suites", "ros/view"):
        data = [path for path in (ROOT / "fetch_sim2real" / folder).rglob("*.*") if path.suffix not in (".py", ".pyc")]
        assert data and {path.relative_to(ROOT).as_posix() for path in data} <= set(recorded)
    nodes = ("policy_node", "camera_node", "arm_driver", "sim_bridge", "recorder", "bag_player", "scene_publisher")
    for name in ("fetch-sim2real", *nodes):
        assert os.access(tmp_path / "bin" / name, os.X_OK), name


@pytest.mark.slow
def test_a_source_distribution_holds_all_that_a_wheel_is_made_of(source_copy: Path, tmp_path: Path) -> None:
    build = "from setuptools.build_meta import build_sdist; import sys; build_sdist(sys.argv[1])"
    run([sys.executable, "-c", build, str(tmp_path)], source_copy)
    (archive,) = tmp_path.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--ignore-installed"]
    run([*pip, "--prefix", str(tmp_path), "--no-warn-script-location", str(archive)], tmp_path)
    expect_installed_files(tmp_path, tmp_path)
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {"docs/install.md", "docs/images/pick_and_place.jpg", "CHANGELOG.md", "LICENSE"} <= names
    assert not any(name.startswith("tests/") for name in names)


@pytest.mark.slow
@pytest.mark.ros
@pytest.mark.gl
@pytest.mark.timeout(900)  # six commands, each with a limit of its own
def test_a_colcon_workspace_builds_tests_and_runs(source_copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("colcon_ros")
    pytest.importorskip("rclpy")
    workspace = source_copy / "ros2_ws"
    colcon = [sys.executable, "-m", "colcon", "--log-base", str(tmp_path / "log")]
    ament = os.environ.get("AMENT_PREFIX_PATH", sys.prefix)
    # An invalid package.xml would quietly turn this into a plain Python package, without its place in ROS's index.
    assert "(ros.ament_python)" in run([*colcon, "list"], workspace, AMENT_PREFIX_PATH=ament)
    base = ["--build-base", str(tmp_path / "build"), "--install-base", str(tmp_path / "install")]
    run([*colcon, "build", *base], workspace, AMENT_PREFIX_PATH=ament)
    prefix = tmp_path / "install" / fetch_sim2real.__name__
    expect_installed_files(prefix, tmp_path)
    nodes = ("policy_node", "camera_node", "arm_driver", "sim_bridge", "recorder", "bag_player", "scene_publisher")
    for executable in (*nodes, "fetch-sim2real"):
        assert os.access(prefix / "lib" / fetch_sim2real.__name__ / executable, os.X_OK)
    assert (prefix / "share/ament_index/resource_index/packages" / fetch_sim2real.__name__).is_file()
    # What `source install/setup.bash` puts in front; a first episode runs on installed nodes, policy and world.
    purelib = sysconfig.get_path("purelib", vars={"base": str(prefix), "platbase": str(prefix)})
    script = tmp_path / "install" / "setup.bash"
    assert script.is_file() is (importlib.util.find_spec("colcon_bash") is not None)
    put_in_front = f"source {script}" if script.is_file() else f"export PYTHONPATH={purelib} AMENT_PREFIX_PATH={prefix}"
    setup = f"{put_in_front} && export AMENT_PREFIX_PATH=$AMENT_PREFIX_PATH:{ament}"
    shell = ["bash", "-c"]
    command = f"{setup} && {prefix}/lib/fetch_sim2real/fetch-sim2real sim --episodes 1 --no-record --json run.json"
    run([*shell, command], tmp_path)
    result = json.loads((tmp_path / "run.json").read_text())
    manifest = prefix / "share/fetch_sim2real/policies/reach_block/manifest.json"
    assert result["policy_sha256"] == hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert result["success_rate"] == 1.0 and result["clock"] == "lockstep"
    # The executable that `ros2 run` starts, with a shipped policy: it says when it is ready, and ends on a signal.
    node = ["timeout", "--signal=INT", "--kill-after=60", "120", str(prefix / "lib/fetch_sim2real/policy_node")]
    ready = f"{setup} && exec {' '.join(node)} --ros-args -p policy:=push 2>&1"
    with subprocess.Popen([*shell, ready], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "ready, no goal" in line:
                process.send_signal(signal.SIGINT)
        assert any("policy push" in line for line in lines), lines
    assert process.returncode == 0
    # `colcon test` reaches the tests, from the workspace.
    tests = ["test", *base, "--return-code-on-test-failure", "--pytest-args", "tests/test_states.py"]
    run([*colcon, *tests], workspace, AMENT_PREFIX_PATH=ament)
    shown = run([*colcon, "test-result", "--all", "--test-result-base", str(tmp_path / "build")], workspace)
    assert "0 failures" in shown and " 0 tests" not in shown
