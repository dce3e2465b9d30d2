"""Which parameter overrides on a command line are meant for every node, and not for this one by its name.

`SetParameter` in a launch file becomes `-p NAME:=VALUE` of each node, and `/**` in a parameter file stands for all of
them: a node does not have to know what comes that way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from fetch_sim2real.stack.ros_arguments import END, PARAMETERS_KEY, START, RosArgumentError, read_parameter_file

_RULE: Final = ("-p", "--param")
_FILE: Final = "--params-file"
_WILDCARDS: Final = ("*", "**")
# How alike two names are, from 0 to 1, if one is taken for the other misspelt: 'model' is no 'mode' yet.
_NEARLY: Final = 0.9


def names_for_every_node(arguments: Sequence[str], known: Collection[str]) -> frozenset[str]:
    """Names of the parameters that ``arguments``, a program's command line, give to no node by its name.

    A person who starts one node writes `-p NAME:=VALUE` too, and means that node: what is nearly one of its ``known``
    names is not among them.
    """
    given = set(_given(arguments, known))
    return frozenset(name for name, is_general in given if is_general and (name, False) not in given)


def _given(arguments: Sequence[str], known: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Each parameter's name, and whether it is given to every node."""
    is_ros = False
    words = iter(arguments)
    for word in words:
        if word in (START, END):
            is_ros = word == START
        elif is_ros and word in _RULE:
            target, _, _ = next(words, "").partition(":=")
            _, separator, name = target.rpartition(":")
            is_misspelt = bool(get_close_matches(name, known, n=1, cutoff=_NEARLY))
            yield name, not (separator or is_misspelt)
        elif is_ros and word == _FILE:
            yield from _in_file(Path(next(words, "")))


def _in_file(path: Path) -> Iterator[tuple[str, bool]]:
    try:
        content = read_parameter_file(path)
    except RosArgumentError:
        return  # it was refused before
    yield from _in_section(content, "")


def _in_section(content: Any, node: str) -> Iterator[tuple[str, bool]]:
    """What a node's section, or a namespace's, holds; ``node`` is the last key on the way here."""
    if not isinstance(content, Mapping):
        return
    for key, inner in content.items():
        if key == PARAMETERS_KEY:
            for name in _flat(inner, ""):
                yield name, node.rpartition("/")[2] in _WILDCARDS
        else:
            yield from _in_section(inner, str(key))


def _flat(content: Any, prefix: str) -> Iterator[str]:
    """Names of nested parameters as ROS writes them: joined by dots."""
    if not isinstance(content, Mapping):
        return
    for key, inner in content.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
