"""An option is declared once: launch arguments, commands and parameters of nodes say the same because they are it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

pytest.importorskip("rclpy")

from typer.main import get_command

from fetch_sim2real.cli.reference import LAUNCH_FILES, tables
from fetch_sim2real.common.option import Option, OptionError, arguments_of, options_in, options_of, require_valid
from fetch_sim2real.errors import GraphError
from fetch_sim2real.stack import options as stack_options
from fetch_sim2real.stack.options import PlaybackOptions, SimGraphOptions

DECLARED: dict[str, Option[Any]] = {
    name: value for name, value in vars(stack_options).items() if isinstance(value, Option)
}
# Options of commands that are the launch files' under another name, unit or bound.
COMMANDS: dict[str, dict[str, Option[Any]]] = {
    "sim": {
        "policy": stack_options.POLICY, "task": stack_options.TASK, "world": stack_options.WORLD,
        "camera": stack_options.CAMERA_PROFILE, "camera_source": stack_options.CAMERA_SOURCE,
        "runtime": stack_options.RUNTIME,
        "seed": stack_options.SEED, "lockstep": stack_options.LOCKSTEP, "move_block": stack_options.MOVE_BLOCK,
        "blank_image": stack_options.BLANK_IMAGE, "backend": stack_options.SIM_BACKEND,
        "rosbridge_loss": stack_options.ROSBRIDGE_LOSS,
    },
    "play": {
        "rate": stack_options.RATE, "start": stack_options.START_S, "loop": stack_options.LOOP,
        "look": stack_options.LOOK, "world": stack_options.DRIVERS_WORLD,
    },
    "operate": {"mode": stack_options.MODE, "namespace": stack_options.NAMESPACE},
    "view": {"namespace": stack_options.NAMESPACE},
    "check_graph": {"namespace": stack_options.NAMESPACE},
}  # fmt: skip


def differs(one: Option[Any], other: Option[Any]) -> bool:
    """Whether two options of one name say something different of default or meaning."""
    return (one.default, one.description, one.choices) != (other.default, other.description, other.choices)


@pytest.mark.parametrize("file", LAUNCH_FILES)
def test_launch_arguments_are_the_declared_options(file: str) -> None:
    for name, option in options_in(LAUNCH_FILES[file]).items():
        twins = [
            declared for declared in DECLARED.values() if not differs(declared, option.but(default=declared.default))
        ]
        assert twins, f"{file}: {name} has a meaning of its own"


def test_parameters_that_launch_files_set_are_the_declared_options() -> None:
    """A node's own parameters have names that no declared option has, so that nothing is declared a second time."""
    names = {option.name for option in DECLARED.values()}
    for node, table in tables().items():
        for parameter in table:
            if parameter.name in names:
                assert any(not differs(parameter, declared) for declared in DECLARED.values()), (node, parameter.name)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_of_commands_are_the_declared_ones(command: str) -> None:
    program = get_command(importlib.import_module(f"fetch_sim2real.cli.{command}").app)
    parameters = {parameter.name: parameter for parameter in program.params}
    for name, option in COMMANDS[command].items():
        parameter: Any = parameters[name]
        assert option.text in parameter.help, name
        assert parameter.default == option.default, name
        assert all(choice in parameter.help for choice in option.choices), name


def test_a_changed_declaration_changes_launch_argument_and_check() -> None:
    assert {a.name: a.description for a in arguments_of(SimGraphOptions)}["episode_s"].endswith("[s].")
    values = {a.name: a.default for a in arguments_of(PlaybackOptions)}
    with pytest.raises(GraphError, match=r"rate is 0.0, expected 0.01 to 100.*recorder's pace"):
        options_of(PlaybackOptions, values | {"rate": "0"})
    with pytest.raises(GraphError, match="look is 'never', expected one of every-frame"):
        require_valid(PlaybackOptions(look="never"))  # type: ignore[arg-type]
    assert stack_options.SPEED_SCALE.but(high=2.0).checked(1.5) == 1.5
    with pytest.raises(OptionError, match=r"'speed_scale' is 1\.5, expected 0\.01 to 1"):
        stack_options.SPEED_SCALE.checked(1.5)
