"""A way to the robot that another installed package adds, as docs/bring_your_own.md shows it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from arm_driver.backends import make_backend
from fetch_sim2real.errors import SetupError
from fetch_sim2real.stack.backends import BUILT_IN, ENTRY_POINTS, added_backend, backend_names

PAGE = Path(__file__).resolve().parents[1] / "docs" / "bring_your_own.md"


def install(folder: Path, name: str, value: str) -> None:
    """What pip leaves behind of a package that declares the back end ``name``."""
    information = folder / f"{value.partition(':')[0]}-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: line-arm\nVersion: 0.1.0\n")
    (information / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{name} = {value}\n")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder for ``PYTHONPATH`` that holds the page's package."""
    page = PAGE.read_text(encoding="utf-8")
    ((name, value),) = re.findall(rf'entry-points."{re.escape(ENTRY_POINTS)}"\]\n(\w+) = "([\w:]+)"', page)
    install(tmp_path, name, value)
    (source,) = (part for part in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "LineBackend" in part)
    (tmp_path / f"{value.partition(':')[0]}.py").write_text(source)
    return tmp_path


def test_a_driver_starts_with_the_back_end_of_an_installed_package(installed: Path) -> None:
    module = installed / "line_arm.py"
    with socket.create_server(("localhost", 0)) as server:
        server.settimeout(30.0)
        module.write_text(module.read_text().replace("7777", str(server.getsockname()[1])))
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        command = [sys.executable, "-m", "arm_driver.main", "--ros-args", "-p", "backend:=line"]
        driver = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            server.accept()[0].close()
        finally:
            driver.terminate()
            _, said = driver.communicate(timeout=30)
    assert "Traceback" not in said


def test_two_back_ends_of_one_name_are_refused(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(installed)
    assert backend_names() == (*BUILT_IN, "line")
    assert added_backend("line") is not None and added_backend("rosbridge") is None
    other = installed / "other"
    other.mkdir()
    install(other, "line", "other_arm:Other")
    monkeypatch.syspath_prepend(other)
    assert backend_names() == (*BUILT_IN, "line")
    with pytest.raises(SetupError, match=r"several packages have a back end 'line': line_arm:LineBackend, other_arm"):
        added_backend("line")


def test_a_name_of_this_package_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "rosbridge", "mine:Mine")
    monkeypatch.syspath_prepend(tmp_path)
    assert backend_names() == BUILT_IN
    with pytest.raises(SetupError, match="mine:Mine, fetch_sim2real itself"):
        added_backend("rosbridge")


def test_what_is_no_back_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong_arm.py").write_text("class Wrong:\n    def __init__(self, driver):\n        pass\n")
    install(tmp_path, "wrong", "wrong_arm:Wrong")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SetupError, match=r"the back end 'wrong' is a Wrong, expected an arm_driver\.backend\.Backend"):
        make_backend("wrong", "live", SimpleNamespace())  # type: ignore[arg-type]  # it never gets there
