"""Ways to break an input: its bytes, its structure (JSON, YAML), or the fields of a ROS message.

All take their chances from the generator that they are given, so that a mutant can be made again from its seed.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

import yaml

ODD_NUMBERS: Final[tuple[Any, ...]] = (
    0, -1, 1, 1.5, -0.0, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf, 2**31 - 1, 2**31, -(2**31),
    2**63, 10**30,
)  # fmt: skip
ODD_TEXTS: Final = (
    "", " ", "\x00", "\u202egnp.", "ä" * 300, "a/b", "../..", "nan", "null", "{", "%s%n", "\U0001f916", "x\ny",
)  # fmt: skip
ODD_VALUES: Final[tuple[Any, ...]] = (
    *ODD_NUMBERS, *ODD_TEXTS, None, True, False, [], {}, [[]], [None], {"": 0}, ["x"] * 50, {"sec": 1, "nanosec": 2},
)  # fmt: skip


def broken_bytes(data: bytes, rng: Random) -> bytes:
    """``data`` with one to four faults of a disk, a network or an editor."""
    broken = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(broken) + 1)
        length = rng.choice((1, 1, 2, 8, 64, max(1, len(broken) // 4)))
        kind = rng.randrange(6)
        if kind == 0 and broken:
            broken[min(at, len(broken) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del broken[at:]
        elif kind == 2:
            broken[at:at] = rng.randbytes(length)
        elif kind == 3:
            broken[at:at] = broken[at : at + length]
        elif kind == 4:
            del broken[at : at + length]
        else:
            broken[at : at + length] = bytes([rng.choice((0, 0xFF, 0x20, 0x22, 0x80))]) * len(broken[at : at + length])
    return bytes(broken)


def broken_tree(tree: Any, rng: Random) -> Any:
    """A copy of ``tree`` (mappings, lists and plain values) with one to three of its parts changed."""
    box = [copy.deepcopy(tree)]
    for _ in range(rng.randint(1, 3)):
        holder, key = rng.choice(list(_places(box)))
        _break_at(holder, key, rng)
        if not box:
            box.append(None)
    return box[0]


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


def _break_at(holder: Any, key: Any, rng: Random) -> None:
    value = holder[key]
    kind = rng.randrange(7)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = rng.choice((-value, value * 1e6, value + rng.gauss(0.0, 1.0), str(value), *ODD_NUMBERS))
    elif kind == 2 and isinstance(value, list) and value:
        del value[rng.randrange(len(value)) :]
    elif kind == 3 and isinstance(value, list) and value:
        value.extend(copy.deepcopy(value[: rng.randint(1, len(value))]))
    elif kind == 4 and isinstance(holder, dict):
        holder[rng.choice(("surplus", f"{key}_", "", "extends", "stamp"))] = copy.deepcopy(value)
    elif kind == 5:
        holder[key] = rng.choice(([value], {"value": value}))
    else:
        holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))


def broken_json(tree: Any, rng: Random) -> bytes:
    """``tree`` as JSON, broken as a structure or as text."""
    if rng.random() < 0.25:
        return broken_bytes(json.dumps(tree).encode(), rng)
    return json.dumps(broken_tree(tree, rng)).encode("utf-8", "surrogatepass")


def broken_yaml(tree: Any, rng: Random) -> bytes:
    """``tree`` as YAML, broken as a structure or as text."""
    if rng.random() < 0.25:
        return broken_bytes(yaml.safe_dump(tree).encode(), rng)
    return yaml.safe_dump(broken_tree(tree, rng), allow_unicode=True).encode("utf-8", "surrogatepass")


_WHOLE_LIMITS: Final = {
    f"{sign}int{bits}": (-(2 ** (bits - 1)) * (not sign), 2 ** (bits - bool(not sign)) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}


def broken_message(message: Any, rng: Random) -> Any:
    """A copy of a ROS message with one to three fields changed, within their types: the middleware knows no others."""
    broken = copy.deepcopy(message)
    for _ in range(rng.randint(1, 3)):
        part, field, kind = rng.choice(list(_fields(broken)))
        setattr(part, field, _broken_field(getattr(part, field), kind, rng))
    return broken


def _fields(message: Any) -> Iterator[tuple[Any, str, str]]:
    for field, kind in message.get_fields_and_field_types().items():
        value = getattr(message, field)
        if hasattr(value, "get_fields_and_field_types"):
            yield from _fields(value)
            continue
        yield message, field, kind
        if kind.startswith("sequence<") and "/" in kind:
            for element in value:
                yield from _fields(element)


def _broken_field(value: Any, kind: str, rng: Random) -> Any:
    if kind.startswith("sequence<"):
        return _broken_sequence(list(value), kind.removeprefix("sequence<").removesuffix(">"), rng)
    if kind.endswith("]"):  # as many as before
        element, broken = kind.partition("[")[0], list(value)
        broken[rng.randrange(len(broken))] = _odd(element, rng)
        return broken
    return _odd(kind, rng)


def _broken_sequence(values: list[Any], element: str, rng: Random) -> list[Any]:
    change: list[Callable[[], list[Any]]] = [
        lambda: [],
        lambda: values[: rng.randrange(len(values) + 1)],
        lambda: values + copy.deepcopy(values),
        lambda: list(reversed(values)),
    ]
    if "/" not in element:
        change.append(lambda: [*values, _odd(element, rng)])
        change.extend([lambda: _replaced(values, _odd(element, rng), rng)] * 3)
    return rng.choice(change)()


def _replaced(values: list[Any], value: Any, rng: Random) -> list[Any]:
    if values:
        values[rng.randrange(len(values))] = value
    return values


def _odd(kind: str, rng: Random) -> Any:
    if kind in ("double", "float"):
        return float(rng.choice((*ODD_NUMBERS[:11], rng.gauss(0.0, 3.0))))
    if kind in _WHOLE_LIMITS or kind == "octet":
        low, high = _WHOLE_LIMITS.get(kind, (0, 255))
        return rng.choice((low, high, 0, 1, rng.randint(low, high)))
    if kind == "boolean":
        return rng.random() < 0.5
    return rng.choice((*ODD_TEXTS, "base_link", "elbow_flex_joint", "rgb8", "plumb_bob"))
