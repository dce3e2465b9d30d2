"""The page docs/errors.md: every error that a person can cause or repair, from the classes themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fetch_sim2real import errors
from fetch_sim2real.errors import FetchSim2RealError

_ROOT: Final = Path(errors.__file__).resolve().parents[1]
_INTRODUCTION: Final = """Errors are one line: what was got, what was expected, what to do next. A node prints it and
ends with status 1, a command likewise; a stack trace is a fault of ours.

| error | where | meaning |
|---|---|---|
"""
_REFUSALS: Final = """
## Refusals

Single commands and goals are refused while everything goes on: the reasons and counts are on `/diagnostics`
(`decisions_refused_...` of the driver, `goal` of the policy). What the driver refuses and why: [safety](safety.md).

`python -m benchmarks.mutations` breaks every input (messages, what rosbridge sends, bags, bundles, calibration, world,
suite and parameter files, parameters) in 10 000 ways each and counts crashes, hangs, and refusals that do not say in
one line what was got; there should be none. `--only INPUT --mutant NUMBER` repeats one that failed.
`tests/test_mutations.py` tries a share of them.
"""


def error_page(made: str) -> str:
    """The page's text; ``made`` says what made it."""
    rows = [f"| `{name}` | `{where}` | {text} |" for name, where, text in sorted(_classes())]
    return f"# Errors\n\n{made}\n{_INTRODUCTION}" + "\n".join(rows) + "\n" + _REFUSALS


def _classes() -> Iterator[tuple[str, str, str]]:
    """Name, module and meaning of the base's descendants; read, not imported: some need ROS or a camera's SDK."""
    found = {}
    for package in sorted(path.parent.name for path in _ROOT.glob("*/__init__.py")):
        for source in sorted((_ROOT / package).rglob("*.py")):
            module = ".".join(source.relative_to(_ROOT).with_suffix("").parts)
            for node in ast.parse(source.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    found[node.name] = (module, node)
    family = {FetchSim2RealError.__name__}
    while fresh := {name for name, (_, node) in found.items() if _bases(node) & family} - family:
        family |= fresh
    for name in family:
        module, node = found[name]
        yield name, module, " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def _bases(node: ast.ClassDef) -> set[str]:
    return {base.id for base in node.bases if isinstance(base, ast.Name)}
