"""The doctor finds what is missing, names the command that gets it, and says so in its exit status."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from rich.console import Console
from typer.testing import CliRunner

from fetch_sim2real import graph
from fetch_sim2real.cli import checks, doctor, probes
from fetch_sim2real.cli.checks import Check

RIGHT_TRANSPORT = {graph.FASTDDS_TRANSPORT_VARIABLE: graph.FASTDDS_TRANSPORT}


def by_name(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


def refuse_to_load(library: str) -> object:
    raise OSError(f"{library}: cannot open shared object file")


def use_probe(monkeypatch: pytest.MonkeyPatch, result: probes.ProbeResult) -> None:
    monkeypatch.setattr(probes, "run_probe", lambda *_, **__: result)


@pytest.mark.parametrize(
    ("version", "status"), [((3, 9), "missing"), ((3, 10), "ok"), ((3, 12), "ok"), ((3, 13), "missing")]
)
def test_python_versions(version: tuple[int, int], status: str) -> None:
    (check,) = checks.check_python(version)
    assert check.status == status
    assert bool(check.remedy) == (status == "missing")


@pytest.mark.parametrize(
    ("requirement", "status"),
    [("numpy>=1", "ok"), ("numpy<1", "missing"), ("no-such-package>=1", "missing"), ("json>=1", "ok")],
)
def test_a_requirement_is_met_only_by_a_fitting_version(requirement: str, status: str) -> None:
    """``json`` stands for a module that is there without a distribution's metadata, as Debian's OpenCV."""
    assert checks._check_requirement(Requirement(requirement)).status == status


def test_the_transport_setting() -> None:
    name = graph.FASTDDS_TRANSPORT_VARIABLE
    right = by_name(checks.check_transport(RIGHT_TRANSPORT))[name]
    unset = by_name(checks.check_transport({}))[name]
    wrong = by_name(checks.check_transport({name: "DEFAULT"}))[name]
    assert (right.status, unset.status, wrong.status) == ("ok", "optional", "missing")
    assert wrong.remedy == f"export {name}='{graph.FASTDDS_TRANSPORT}'"


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("ROS_LOCALHOST_ONLY", "1", "missing"),
        ("ROS_LOCALHOST_ONLY", "0", "ok"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST", "missing"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF", "missing"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET", "ok"),
    ],
)
def test_settings_that_lose_images(name: str, value: str, status: str) -> None:
    check = by_name(checks.check_transport({**RIGHT_TRANSPORT, name: value}))[name]
    assert check.status == status
    assert check.remedy == (f"unset {name}" if status == "missing" else "")


def test_missing_opengl_library_names_its_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    use_probe(monkeypatch, probes.ProbeResult(error="no display"))
    found = by_name(checks.check_graphics(load=refuse_to_load))
    assert found["libEGL.so.1"].status == "missing"
    assert found["libEGL.so.1"].remedy.endswith("libegl1")
    assert found["rendering"].found == "no display"


def test_a_black_image_is_not_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"centre": [0, 0, 0], "corner": [0, 0, 0], "renderer": "x", "render_ms": 1.0}
    use_probe(monkeypatch, probes.ProbeResult(values=values))
    assert checks.check_graphics(load=str)[-1].status == "missing"


def test_another_middleware_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    use_probe(monkeypatch, probes.ProbeResult(values={"rmw": "rmw_cyclonedds_cpp", "path": "/x/rclpy/__init__.py"}))
    assert by_name(checks.check_ros())["middleware"].status == "missing"


def test_a_camera_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    use_probe(monkeypatch, probes.ProbeResult(error="ModuleNotFoundError: No module named 'pyrealsense2'"))
    assert {check.status for check in checks.check_realsense(load=refuse_to_load)} == {"optional"}
    use_probe(monkeypatch, probes.ProbeResult(values={"devices": ["Intel RealSense D435"]}))
    assert checks.check_realsense(load=str)[-1].found == "Intel RealSense D435"


@pytest.mark.parametrize(("encoding", "status"), [("UTF-8", "ok"), ("utf8", "ok"), ("ascii", "optional")])
def test_a_terminal_without_unicode_is_told_of(encoding: str, status: str) -> None:
    (check,) = checks.check_terminal(encoding)
    assert (check.status, bool(check.remedy)) == (status, status != "ok")


def test_one_core_is_advised_against_not_refused(tmp_path: Path) -> None:
    assert by_name(checks.check_machine(tmp_path, cores=1))["cores"].status == "optional"


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        ("import os; os.abort()", "ended with status -6"),
        ("print('hello')", "unexpected output"),
        ("import time; time.sleep(60)", "no answer within 1 s"),
    ],
)
def test_a_probe_survives_its_program(program: str, complaint: str) -> None:
    error = probes.run_probe(program, time_limit_s=1.0).error
    assert error is not None
    assert complaint in error


@pytest.mark.gl
def test_rendering_on_this_machine() -> None:
    check = checks.check_graphics()[-1]
    assert check.status == "ok", check


@pytest.mark.ros
def test_messages_on_this_machine() -> None:
    pytest.importorskip("rclpy")
    assert {check.status for check in checks.check_ros()} == {"ok"}


@pytest.mark.parametrize(("status", "exit_code"), [("ok", 0), ("optional", 0), ("missing", 1)])
def test_exit_status_and_json(monkeypatch: pytest.MonkeyPatch, status: checks.Status, exit_code: int) -> None:
    line = Check("Group", "thing", status, "found [this]", "do that")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [line],))
    result = CliRunner().invoke(doctor.app, ["--json"])
    assert result.exit_code == exit_code
    report = json.loads(result.stdout)
    assert report["ok"] == (exit_code == 0)
    assert report["checks"] == [
        {"group": "Group", "name": "thing", "status": status, "found": "found [this]", "remedy": "do that"}
    ]


def test_remedies_are_printed_whole_on_narrow_terminals() -> None:
    """A command that is folded or read as markup cannot be copied."""
    remedy = "python -m pip install -e '/a/rather/long/path/to/the/clone/of/the/project[realsense,ros-wheels]'"
    console = Console(width=60, record=True, file=io.StringIO())
    doctor.print_report([Check("Group", "thing", "missing", "[red]nothing[/red]", remedy)], console)
    text = console.export_text()
    assert remedy in text
    assert "[red]nothing[/red]" in text
