"""Parameters for all nodes alike, and those for one by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetch_sim2real.ros.parameters import names_for_every_node

FILE = """
/**:
  ros__parameters:
    general: 1
    nested: {deep: 2}
    both: 1
/**/arm_driver:
  ros__parameters: {any_namespace: 1, both: 2}
arm_driver:
  ros__parameters: {bare: 1}
left:
  arm_driver:
    ros__parameters: {below: 1}
left/*:
  ros__parameters: {all_of_left: 1}
"""


def test_what_names_no_node_is_for_every_node(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(FILE)
    arguments = ["node", "-p", "mine:=1", "--ros-args", "-p", "rule:=1", "--param", "arm_driver:named:=a:=b"]
    arguments += ["--params-file", str(file), "-r", "__node:=arm_driver", "--", "-p", "later:=1"]
    assert names_for_every_node(arguments, ["mode"]) == {"rule", "general", "nested.deep", "all_of_left"}


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "\t", "/**: 3", "/**: {ros__parameters: 3}", "\xff"])
def test_a_file_that_is_none_says_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text, encoding="latin-1")
    assert not names_for_every_node(["node", "--ros-args", "--params-file", str(file)], [])
    assert not names_for_every_node(["node", "--ros-args", "--params-file", str(tmp_path)], [])
    assert not names_for_every_node(["node", "--ros-args", "--params-file"], [])


def test_a_rule_with_a_nearly_right_name_is_a_person_who_mistyped(tmp_path: Path) -> None:
    known = ["mode", "speed_scale"]
    arguments = ["node", "--ros-args", "-p", "sped_scale:=0.5", "-p", "model:=fetch", "-p", "robot_description:=x"]
    assert names_for_every_node(arguments, known) == {"model", "robot_description"}
    file = tmp_path / "p.yaml"
    file.write_text("/**: {ros__parameters: {sped_scale: 0.5}}")
    assert names_for_every_node(["node", "--ros-args", "--params-file", str(file)], known) == {"sped_scale"}
