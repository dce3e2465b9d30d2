"""Variables that ROS does not work with: one line that names them, from nodes, commands and the doctor alike."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fetch_sim2real.cli import checks
from fetch_sim2real.errors import SetupError
from fetch_sim2real.stack import ros_environment
from fetch_sim2real.stack.launcher import launch
from fetch_sim2real.stack.processes import node_package
from fetch_sim2real.stack.ros_environment import (
    judge_log_folder,
    judge_middleware,
    require_ros_environment,
    ros_judgements,
)

ROOT = Path(__file__).resolve().parent.parent

NODES = ("policy_node", "camera_node", "arm_driver", "sim_bridge", "recorder", "bag_player", "scene_publisher")
FAULTS = [
    ("ROS_DOMAIN_ID", "abc"),
    ("ROS_DOMAIN_ID", "233"),
    ("ROS_DOMAIN_ID", "-1"),
    ("ROS_DOMAIN_ID", "4.0"),
    ("ROS_DOMAIN_ID", "4²"),
    ("ROS_DOMAIN_ID", "08"),
    ("ROS_DOMAIN_ID", "010"),
    ("RMW_IMPLEMENTATION", "rmw_nonsense_cpp"),
    ("RMW_IMPLEMENTATION", "rmw" * 200),
    ("ROS_DISCOVERY_SERVER", "10.0.0.1:11811"),
    ("ROS_LOCALHOST_ONLY", "1"),
    ("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF"),
    ("ROS_AUTOMATIC_DISCOVERY_RANGE", "nonsense"),
    ("FASTRTPS_DEFAULT_PROFILES_FILE", "/nonexistent.xml"),
    ("FASTDDS_DEFAULT_PROFILES_FILE", "/tmp"),
    ("ROS_STATIC_PEERS", "10.0.0.2;no-such-machine.invalid"),
    ("RCUTILS_LOGGING_USE_STDOUT", "abc"),
    ("RCUTILS_COLORIZED_OUTPUT", "yes"),
]


@pytest.mark.parametrize(("name", "value"), FAULTS)
def test_a_wrong_value_is_refused_and_the_doctor_sees_it(name: str, value: str) -> None:
    with pytest.raises(SetupError, match=f"^{name} is '{value}': .*; unset {name}$"):
        require_ros_environment({name: value})
    found = {check.name: check for check in checks.check_transport({name: value, "HOME": "/tmp"})}
    assert (found[name].status, found[name].remedy) == ("missing", f"unset {name}")
    assert value in found[name].found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROS_DOMAIN_ID", ""),
        ("ROS_DOMAIN_ID", "0"),
        ("ROS_DOMAIN_ID", "232"),
        ("RMW_IMPLEMENTATION", ""),
        ("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp"),
        ("ROS_DISCOVERY_SERVER", ""),
        ("ROS_LOCALHOST_ONLY", "0"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "subnet"),
        ("ROS_STATIC_PEERS", "10.0.0.2"),
        ("ROS_STATIC_PEERS", "localhost;10.0.0.2"),
        ("ROS_SECURITY_ENABLE", "true"),
        ("RCUTILS_COLORIZED_OUTPUT", "1"),
    ],
)
def test_what_ros_takes_is_taken(name: str, value: str) -> None:
    require_ros_environment({name: value})


def test_encryption_that_is_enforced_needs_keys(tmp_path: Path) -> None:
    enforced = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}
    with pytest.raises(SetupError, match=r"ROS_SECURITY_KEYSTORE is no folder; unset ROS_SECURITY_ENABLE$"):
        require_ros_environment(enforced)
    require_ros_environment({**enforced, "ROS_SECURITY_KEYSTORE": str(tmp_path)})


def test_logs_below_a_home_folder_are_where_ros_puts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "logs").write_text("")
    with pytest.raises(SetupError, match=f"cannot write its logs into {tmp_path}/logs"):
        require_ros_environment({"ROS_LOG_DIR": "~/logs"}, writes_logs=True)


def test_what_each_range_of_discovery_does_is_said_rightly() -> None:
    said = {
        value: next(each.fault for each in ros_judgements({"ROS_AUTOMATIC_DISCOVERY_RANGE": value}) if each.fault)
        for value in ("OFF", "localhost", "nonsense")
    }
    assert "find nobody" in said["OFF"] and said["localhost"].startswith("with it every second or third image")
    assert "does not know" in said["nonsense"]


def test_a_middleware_that_is_installed_is_left_to_the_user(tmp_path: Path) -> None:
    index = tmp_path / "share/ament_index/resource_index/rmw_typesupport"
    index.mkdir(parents=True)
    (index / "rmw_other_cpp").touch()
    environment = {"RMW_IMPLEMENTATION": "rmw_other_cpp"}
    for judged in (
        judge_middleware(environment, prefix=str(tmp_path)),
        judge_middleware(environment | {"AMENT_PREFIX_PATH": f"/nonexistent:{tmp_path}"}, prefix="/nonexistent"),
    ):
        assert judged.fault and not judged.grave
    assert judge_middleware(environment, prefix="/nonexistent").grave


def test_a_domain_whose_ports_are_not_its_own_is_only_worth_knowing() -> None:
    (judged,) = (each for each in ros_judgements({"ROS_DOMAIN_ID": "150"}) if each.fault)
    assert (judged.variable, judged.grave) == ("ROS_DOMAIN_ID", False)


@pytest.mark.parametrize("name", ["ROS_LOG_DIR", "ROS_HOME", "HOME"])
def test_logs_need_a_folder_that_can_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    assert judge_log_folder({"HOME": str(tmp_path), name: str(tmp_path / "new")}).fault == ""
    judged = judge_log_folder({"HOME": str(tmp_path), name: str(tmp_path / "file" / "below")})
    assert (judged.variable, judged.remedy) == (name, "export ROS_LOG_DIR=/tmp/ros_log")
    assert not (tmp_path / "new").exists(), "judging makes nothing"


def test_without_a_home_only_what_writes_logs_is_refused() -> None:
    require_ros_environment({})
    with pytest.raises(SetupError, match=r"HOME is not set.*ROS_LOG_DIR"):
        require_ros_environment({}, writes_logs=True)


def test_a_temporary_folder_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    (judged,) = (each for each in ros_judgements({"TMPDIR": "/nonexistent"}) if each.fault)
    assert (judged.variable, judged.grave) == ("TMPDIR", False), "Python takes another one"

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(ros_environment.tempfile, "gettempdir", none)
    with pytest.raises(SetupError, match="TMPDIR"):
        require_ros_environment({"TMPDIR": "/nonexistent"})


def test_no_process_is_launched_into_a_wrong_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", "1")
    with pytest.raises(SetupError, match="unset ROS_LOCALHOST_ONLY"):
        launch((), tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True,
        check=False, timeout=60.0,
    )  # fmt: skip


@pytest.mark.ros
@pytest.mark.parametrize(
    ("node", "name", "value"),
    [
        ("arm_driver", "ROS_DOMAIN_ID", "abc"),
        ("policy_node", "ROS_LOG_DIR", "/proc/x"),
        ("recorder", "RCUTILS_COLORIZED_OUTPUT", "yes"),
        *((node, "RMW_IMPLEMENTATION", "rmw_nonsense_cpp") for node in NODES),
    ],
)
def test_a_node_says_it_in_one_line(node: str, name: str, value: str) -> None:
    pytest.importorskip("rclpy")
    ended = run([f"{node_package(node)}.main"], **{name: value})
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert value in line


@pytest.mark.ros
@pytest.mark.parametrize(("name", "value"), [("ROS_DOMAIN_ID", "233"), ("RMW_IMPLEMENTATION", "rmw_nonsense_cpp")])
def test_a_command_says_it_in_one_line(name: str, value: str) -> None:
    pytest.importorskip("rclpy")
    ended = run(["fetch_sim2real.cli.main", "check-graph"], **{name: value})
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {name} is '{value}'") and line.endswith(f"; unset {name}")


def test_the_doctor_tells_of_a_middleware_that_ends_rclpy(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_nonsense_cpp")
    failed = checks.probes.ProbeResult(error="x")
    monkeypatch.setattr(checks.probes, "run_probe", lambda *arguments: given.append(arguments[2]) or failed)
    checks.check_ros()
    assert given == [{"RMW_IMPLEMENTATION": ""}]
