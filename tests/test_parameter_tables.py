"""Every node declares its parameters in one table, with what a person and a tool need to know."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from fetch_sim2real.common.option import Option, OptionError
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.stack.processes import node_package

ROOT = Path(__file__).resolve().parents[1]
TABLES: dict[str, Sequence[Option[Any]]] = {
    node: importlib.import_module(f"{node_package(node)}.settings").TABLE
    for node in ("arm_driver", "bag_player", "camera_node", "policy_node", "recorder", "scene_publisher", "sim_bridge")
}
EVERY = [pytest.param(p, id=f"{node}.{p.name}") for node, table in TABLES.items() for p in table]


@pytest.mark.parametrize("parameter", EVERY)
def test_each_says_what_it_is(parameter: Option[Any]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)?", parameter.name)
    assert len(parameter.description) > 15
    assert parameter.checked(parameter.default) == parameter.default
    if isinstance(parameter.default, float):
        assert parameter.low is not None, "a number without a range takes everything"
        assert parameter.unit or "share" in parameter.description or "multiple" in parameter.description


@pytest.mark.parametrize("parameter", EVERY)
def test_each_refuses_what_is_wrong_and_says_what_is_expected(parameter: Option[Any]) -> None:
    wrong: list[object] = [None, [1]]
    if isinstance(parameter.default, float):
        wrong += [float("nan"), "1", (parameter.low or 0.0) - 1.0]
    elif parameter.choices:
        wrong += [parameter.choices[0] + "x"]
    for value in wrong:
        with pytest.raises(FetchSim2RealError, match=rf"parameter '{re.escape(parameter.name)}' is .*expected"):
            parameter.checked(value)


def test_a_text_with_a_form_of_its_own_is_read_before_it_is_taken() -> None:
    (conditions,) = (p for p in TABLES["sim_bridge"] if p.name == "conditions")
    assert conditions.checked('{"perturb": ["shove"]}')
    for wrong, reason in (("{", "not JSON"), ('{"perturb": ["kick"]}', "changes are move_block, shove")):
        with pytest.raises(OptionError, match=rf"parameter 'conditions' is .*expected.*{reason}"):
            conditions.checked(wrong)


def test_no_node_declares_parameters_elsewhere() -> None:
    for node in TABLES:
        package = ROOT / node_package(node).replace(".", "/")
        for source in package.rglob("*.py"):
            assert "declare_parameter" not in source.read_text(encoding="utf-8"), source
        main = (package / "main.py").read_text(encoding="utf-8")
        assert f"from {node_package(node)}.settings import TABLE" in main, node
        assert "TABLE" in main.split("run_node(")[1], node
