"""Arguments and parameter files that ROS would not take: one line that says what to write instead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fetch_sim2real.stack.ros_arguments import RosArgumentError, check_ros_arguments, read_parameter_file

ROOT = Path(__file__).resolve().parent.parent
FILE = "driver:\n  ros__parameters:\n    mode: live\n"


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        ("-p mode=live", "-p mode:=live"),
        ("-p mode:live", "-p mode:=live"),
        ("-p mode", "-p NAME:=VALUE"),
        ("-p :=live", "-p NAME:=VALUE"),
        ("-p mode:=", "-p \"mode:=''\""),
        ("-p mode:=[1,", "-p \"mode:='...'\""),
        ("-p", "NAME:=VALUE"),
        ("--param a:=1 -p", "NAME:=VALUE"),
        ("-r joint_states", "-r FROM:=TO"),
        ("-r", "FROM:=TO"),
        ("-r a:=", "joint_states:=/fetch/joint_states"),
        ("-r a:=/b-c", "joint_states:=/fetch/joint_states"),
        ("-r __ns:=left", "-r __ns:=/left"),
        ("-r __ns:=/left/", "-r __ns:=/left"),
        ("-r __ns:=9bad", "-r __ns:=/left"),
        ("-r driver:__ns:=9bad", "-r driver:__ns:=/left"),
        ("-r __ns:=", "-r __ns:=/left"),
        ("-r __node:=9bad", "-r __node:=my_node"),
        ("-r __name:=a/b", "-r __name:=my_node"),
        ("-p mode:=" + "[" * 3000, "-p \"mode:='...'\""),
        ("-p mode:=\udce9", "not valid UTF-8: rename"),
        ("--log-level loud", "debug, info, warn, error, fatal"),
        ("--enclave here", "/NAME"),
        ("--params-file", "a parameter file"),
        ("--params-file /nonexistent.yaml", "/nonexistent.yaml cannot be read"),
        ("--param-file x.yaml", "--params-file"),
        ("--params-file=x.yaml", "--params-file x.yaml"),
        ("mode:=live", "-p mode:=live"),
        ("--nonsense", "-p"),
    ],
)
def test_what_ros_would_not_take_is_said_with_what_to_write(arguments: str, instead: str) -> None:
    with pytest.raises(RosArgumentError) as caught:
        check_ros_arguments(["--ros-args", *arguments.split()])
    assert instead in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "instead"), [("mode:=live", "--ros-args -p mode:=live"), ("--ros-arg", "--ros-args")]
)
def test_what_stands_outside_and_would_say_nothing(argument: str, instead: str) -> None:
    with pytest.raises(RosArgumentError, match=instead):
        check_ros_arguments([argument])


def test_spaces_around_the_sign() -> None:
    with pytest.raises(RosArgumentError, match="expected -p mode:=live"):
        check_ros_arguments(["--ros-args", "-p", "mode := live"])


def test_what_ros_takes_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "driver.yaml"
    file.write_text(FILE, encoding="utf-8")
    check_ros_arguments([])
    check_ros_arguments(["--help", "--ros-args", "--", "anything"])
    check_ros_arguments([
        "--ros-args", "-r", "__node:=driver", "-r", "__ns:=/", "-r", "arm_driver:__ns:=/left/arm",
        "--remap", "joint_states:=/fetch/joint_states", "-r", "~/enable:=go", "-r", "rostopic://a/b:=c_1",
        "-p", "mode:=live", "-p", "driver:speed_scale:=0.5", "--param", "text:=''", "-p", "list:=[1, 2]",
        "--params-file", str(file), "--log-level", "arm_driver:=DEBUG", "--log-level", "info",
        "--disable-external-lib-logs", "--enable-rosout-logs", "-e", "/left", "--", "--other",
        "--ros-args", "-p", "url:=http://a:1",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("# mode: live\n---\n", "is empty"),
        (FILE.replace("    ", "\t"), "line 3 is indented by a tab, expected spaces"),
        ("driver: {ros__parameters: {mode: live\n", "is no YAML: line 2"),
        ("[1, 2]\n", "has no ros__parameters, expected NODE"),
        ("text\n", "has no ros__parameters, expected NODE"),
        ("mode: live\n", "has no ros__parameters under 'mode'"),
        ("driver:\n  mode: live\n", "has no ros__parameters under 'driver/mode'"),
        ("driver:\n  ros__parameters:\n", "without parameters under 'driver'"),
        ("driver:\n  ros__parameters: [1]\n", "without parameters under 'driver'"),
        ("ros__parameters: {mode: live}\n", "of no node"),
        ("driver:\n", "has no ros__parameters under 'driver'"),
    ],
)
def test_a_parameter_file_that_sets_nothing_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "driver.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(RosArgumentError) as caught:
        check_ros_arguments(["--ros-args", "--params-file", str(file)])
    assert str(file) in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


def test_a_parameter_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "driver.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RosArgumentError, match="no text in UTF-8"):
        read_parameter_file(file)
    with pytest.raises(RosArgumentError, match="cannot be read"):
        read_parameter_file(tmp_path)


def test_parameters_of_namespaces_and_of_all_nodes(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    content = "/**:\n  ros__parameters: {}\nleft:\n  driver:\n    ros__parameters: {mode: live}\n"
    file.write_text(content, encoding="utf-8")
    assert set(read_parameter_file(file)) == {"/**", "left"}
    file.write_text("{}", encoding="utf-8")
    assert read_parameter_file(file) == {}


@pytest.mark.parametrize("name", ["robot.yaml"])
def test_the_shipped_parameter_file_is_taken(name: str) -> None:
    assert read_parameter_file(ROOT / "config" / name)


@pytest.mark.ros
@pytest.mark.parametrize("arguments", [["-p", "mode=live"], ["-p", "list:=[1, a]"]])
def test_a_node_says_it_in_one_line(arguments: list[str]) -> None:
    """The first is judged here, of the second only ROS knows."""
    pytest.importorskip("rclpy")
    ended = subprocess.run(
        [sys.executable, "-m", "arm_driver.main", "--ros-args", *arguments], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=60.0,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("arm_driver: ") and arguments[1] in line


@pytest.mark.parametrize("value", ["2026-02-30", "0x_", "!!int abc", "!!timestamp x", "=", "190:60"])
def test_values_are_left_to_the_rules_of_ros(value: str, tmp_path: Path) -> None:
    check_ros_arguments(["--ros-args", "-p", f"mode:={value}"])
    file = tmp_path / "p.yaml"
    file.write_text(f"driver:\n  ros__parameters:\n    mode: {value}\n")
    assert read_parameter_file(file) == {"driver": {"ros__parameters": {"mode": value.rpartition(" ")[2]}}}


@pytest.mark.parametrize(("text", "said"), [("[" * 100_000, "nested too deep"), ("/**: &x {y: *x}", "line 1")])
def test_a_file_without_an_end_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(RosArgumentError, match=said):
        read_parameter_file(file)
