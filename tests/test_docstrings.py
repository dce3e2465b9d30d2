"""Docstrings of public functions say what to do: "Return the ...", not "The ..." or "Returns ..."."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("fetch_sim2real", "policy_node", "camera_node", "arm_driver", "sim_bridge")
# "See" is for what implements a protocol, whose own docstring says it: "See ``Agent``."
# fmt: off
NO_VERB = frozenset((
    "a", "all", "an", "another", "as", "at", "both", "by", "called", "each", "every", "everything", "for",
    "frames", "from", "how", "if", "in", "inside", "it", "its", "joint", "joints", "names", "never", "no",
    "none", "nothing", "of", "on", "one", "only", "pose", "positions", "several", "that", "the", "their",
    "these", "this", "those", "time", "true", "until", "what", "when", "where", "whether", "which", "who",
    "whose", "why", "with", "without",
))
# fmt: on
# Verbs that end as the third person does.
VERBS_WITH_S = frozenset(
    ["access", "address", "cross", "discuss", "dismiss", "express", "focus", "guess", "pass", "press", "process"]
)


def complaint(docstring: str) -> str:
    """Return what is wrong with how a docstring begins; empty if nothing is."""
    first = docstring.split()[0].rstrip(".,:;")
    if not first[0].isalpha() or not first[0].isupper():
        return f"begins with {first!r}, expected a verb"
    word = first.lower()
    if word in NO_VERB or (word.endswith("s") and word not in VERBS_WITH_S):
        return f"begins with {first!r}, expected an imperative such as 'Return'"
    return ""


def public_functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield public functions and methods; what they define inside, and properties, are not for callers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if not child.name.startswith("_") and not any("property" in ast.unparse(d) for d in child.decorator_list):
                yield child
        elif not (isinstance(child, ast.ClassDef) and child.name.startswith("_")):
            yield from public_functions(child)


def test_docstrings_of_public_functions_are_imperative() -> None:
    wrong = []
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for function in public_functions(ast.parse(path.read_text(encoding="utf-8"))):
            docstring = ast.get_docstring(function)
            if docstring and (found := complaint(docstring)):
                wrong.append(f"{path.relative_to(ROOT)}:{function.lineno} {function.name} {found}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("docstring", ["The command.", "Whether it is.", "Returns it.", "``x`` [m].", "for JSON"])
def test_others_are_found(docstring: str) -> None:
    assert complaint(docstring)


@pytest.mark.parametrize("docstring", ["Return it.", "See ``Agent``.", "Process one.", "Re-run it."])
def test_verbs_are_not(docstring: str) -> None:
    assert not complaint(docstring)
