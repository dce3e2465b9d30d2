"""What follows ``--ros-args``: judged before ROS reads it, whose own answers name neither the fault nor the way out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from fetch_sim2real.common.validation import escaped, is_utf8, one_line
from fetch_sim2real.errors import FetchSim2RealError

START: Final = "--ros-args"
END: Final = "--"
NO_LOG_FILES: Final = "--disable-external-lib-logs"
_SWITCHES: Final = tuple(
    f"--{verb}-{what}" for verb in ("enable", "disable") for what in ("rosout-logs", "stdout-logs", "external-lib-logs")
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMESPACE: Final = re.compile(r"/|(/[A-Za-z_][A-Za-z0-9_]*)+")
# What topics and services may be called in a rule: relative, absolute or private, with substitutions.
_TOPIC: Final = re.compile(r"(rostopic://|rosservice://)?(~|[A-Za-z0-9_{}]+)?(/[A-Za-z0-9_{}]+)*/?")
_LEVELS: Final = ("debug", "info", "warn", "error", "fatal")
PARAMETERS_KEY: Final = "ros__parameters"
_FILE_EXAMPLE: Final = f"expected NODE: {{{PARAMETERS_KEY}: {{NAME: VALUE}}}} as in config/robot.yaml"


class RosArgumentError(FetchSim2RealError):
    """An argument for ROS, or a parameter file, cannot be meant."""


def check_ros_arguments(arguments: Sequence[str]) -> None:
    """Raise ``RosArgumentError`` for the first of a node's ``arguments`` (without its name) that ROS would not take."""
    for argument in arguments:
        if not is_utf8(argument):
            raise RosArgumentError(f"the argument '{escaped(argument)}' is not valid UTF-8: rename what it names")
    remaining = iter(arguments)
    for argument in remaining:
        if argument == START:
            _check_section(remaining)
        elif ":=" in argument:
            raise RosArgumentError(
                f"'{argument}' says nothing outside of {START}: for a parameter write {START} -p {argument}, for "
                f"another name of a topic {START} -r {argument}"
            )
        elif argument != START and difflib.get_close_matches(argument, [START], cutoff=0.8):
            raise RosArgumentError(f"unknown argument '{argument}', did you mean {START}?")


def _check_section(remaining: Iterator[str]) -> None:
    """Judge what follows ``--ros-args``, up to ``--`` or the end."""
    for flag in remaining:
        if flag == END:
            return
        if flag == START or flag in _SWITCHES:
            continue
        known = _FLAGS.get(flag)
        if known is None:
            raise RosArgumentError(_unknown(flag))
        value = next(remaining, None)
        if value is None:
            raise RosArgumentError(f"{flag} is the last argument, expected {known.expects} after it")
        known.check(flag, value)


def _unknown(flag: str) -> str:
    if ":=" in flag:
        return f"'{flag}' lacks its flag: for a parameter write -p {flag}, for another name of a topic -r {flag}"
    if "=" in flag and flag.partition("=")[0] in _FLAGS:
        return f"'{flag}' is one word, expected two: {' '.join(flag.split('=', 1))}"
    near = difflib.get_close_matches(flag, [*_FLAGS, *_SWITCHES], n=1)
    meant = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(_FLAGS)}"
    return f"unknown argument '{flag}' after {START}, {meant}"


def _check_parameter(flag: str, rule: str) -> None:
    name, separator, value = rule.partition(":=")
    if not separator:
        first = re.match(r"\s*([^=:\s]+)\s*[=:]\s*(.*)", rule, re.DOTALL)
        meant = f"{first[1]}:={first[2] or 'VALUE'}" if first else "NAME:=VALUE"
        raise RosArgumentError(f"'{flag} {rule}' sets nothing, expected {flag} {meant}")
    if name != name.strip() or value != value.lstrip():
        raise RosArgumentError(f"'{flag} {rule}' has spaces around :=, expected {flag} {name.strip()}:={value.strip()}")
    if not name:
        raise RosArgumentError(f"'{flag} {rule}' names no parameter, expected {flag} NAME:=VALUE")
    if not value:
        raise RosArgumentError(f"'{flag} {rule}' has no value, expected {flag} \"{name}:=''\" for an empty text")
    try:
        _yaml(value)
    except (yaml.YAMLError, RecursionError):
        raise RosArgumentError(
            f"'{flag} {rule}': the value is no YAML, put text into quotes of its own: {flag} \"{name}:='...'\""
        ) from None


def _check_remap(flag: str, rule: str) -> None:
    source, separator, target = rule.partition(":=")
    if not separator:
        raise RosArgumentError(f"'{flag} {rule}' renames nothing, expected {flag} FROM:=TO")
    kind = source.rpartition(":")[2]
    if kind == "__ns":
        _check_namespace(target, f"{flag} {source}:=")
    elif kind in ("__node", "__name"):
        if not _NAME.fullmatch(target):
            raise RosArgumentError(
                f"'{flag} {rule}': '{target}' is no node's name, expected letters, digits and _, no digit first: "
                f"{flag} {source}:=my_node"
            )
    elif not (_is_topic(kind) and _is_topic(target)):
        raise RosArgumentError(
            f"'{flag} {rule}' has no names of topics or services, expected letters, digits, _ and /: "
            f"{flag} joint_states:=/fetch/joint_states"
        )


def _is_topic(name: str) -> bool:
    # The scheme of rostopic:// was cut off at its colon.
    return bool(name) and _TOPIC.fullmatch(name.removeprefix("//")) is not None


def _check_namespace(namespace: str, written: str) -> None:
    """Raise ``RosArgumentError`` unless ``namespace`` is /left or /left/arm; ``written`` is what stood before it."""
    if _NAMESPACE.fullmatch(namespace):
        return
    meant = f"/{namespace.strip('/')}"
    if not _NAMESPACE.fullmatch(meant) or meant == "/":
        meant = "/left"
    raise RosArgumentError(
        f"'{written}{namespace}' is no namespace, expected / and letters, digits and _, no digit first: "
        f"{written}{meant}"
    )


def _check_level(flag: str, value: str) -> None:
    level = value.rpartition(":=")[2]
    if level.lower() not in _LEVELS:
        raise RosArgumentError(f"'{flag} {value}' is no level, expected one of {', '.join(_LEVELS)}")


def _check_enclave(flag: str, value: str) -> None:
    if not _NAMESPACE.fullmatch(value):
        raise RosArgumentError(f"'{flag} {value}' is no enclave, expected /NAME")


def _check_any(flag: str, value: str) -> None:
    """Left to ROS."""


def _check_file(flag: str, value: str) -> None:
    read_parameter_file(Path(value))


def read_parameter_file(path: Path) -> Mapping[str, Any]:
    """Return the content of a ROS parameter file. ``RosArgumentError`` names the file, the line and what is wrong
    with it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RosArgumentError(f"parameter file {path} is no text in UTF-8, {_FILE_EXAMPLE}") from None
    except OSError as error:
        raise RosArgumentError(f"parameter file {path} cannot be read: {error.strerror}") from None
    try:
        content = _yaml(text)
    except yaml.YAMLError as error:
        raise RosArgumentError(f"parameter file {path} is no YAML: {_yaml_fault(text, error)}") from None
    except RecursionError:
        raise RosArgumentError(f"parameter file {path} is nested too deep, {_FILE_EXAMPLE}") from None
    if content in (None, "", "~", "null"):
        raise RosArgumentError(f"parameter file {path} is empty, {_FILE_EXAMPLE}")
    _check_nodes(path, content, ())
    return content  # type: ignore[no-any-return]


def _yaml(text: str) -> Any:
    """What ``text`` says, its scalars as texts: ROS decides by rules of its own what is a number."""
    return yaml.load(text, Loader=yaml.BaseLoader)


def _yaml_fault(text: str, error: yaml.YAMLError) -> str:
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line[: len(line) - len(line.lstrip())]:
            return f"line {number} is indented by a tab, expected spaces"
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}: {problem}" if mark is not None else one_line(error)


def _check_nodes(path: Path, content: Any, place: tuple[str, ...]) -> None:
    """Mappings from namespaces and nodes down to their parameters, and nothing beside them."""
    where = f" under '{'/'.join(place)}'" if place else ""
    if not isinstance(content, dict) or (place and not content):  # {} alone sets nothing on purpose
        raise RosArgumentError(f"parameter file {path} has no {PARAMETERS_KEY}{where}, {_FILE_EXAMPLE}")
    for key, value in content.items():
        if key != PARAMETERS_KEY:
            _check_nodes(path, value, (*place, str(key)))
        elif not place or not isinstance(value, dict):
            wrong = "of no node" if not place else f"without parameters{where}"
            raise RosArgumentError(f"parameter file {path} has {PARAMETERS_KEY} {wrong}, {_FILE_EXAMPLE}")


@dataclass(frozen=True)
class _Flag:
    """What follows a flag, in words, and who judges it, given the flag and the value."""

    expects: str
    check: Callable[[str, str], None]


_PARAMETER: Final = _Flag("NAME:=VALUE", _check_parameter)
_REMAP: Final = _Flag("FROM:=TO", _check_remap)
_ENCLAVE: Final = _Flag("/NAME", _check_enclave)
_FLAGS: Final[Mapping[str, _Flag]] = {
    "-p": _PARAMETER,
    "--param": _PARAMETER,
    "-r": _REMAP,
    "--remap": _REMAP,
    "--params-file": _Flag("a parameter file", _check_file),
    "--log-level": _Flag("a level", _check_level),
    "-e": _ENCLAVE,
    "--enclave": _ENCLAVE,
    "--log-config-file": _Flag("a file", _check_any),
}
