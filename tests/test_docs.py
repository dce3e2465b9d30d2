"""The documentation: links lead somewhere, pages from the code are current, and commands exist."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

import yaml
from typer.main import get_command
from typer.testing import CliRunner

import fetch_sim2real.cli.sim
from fetch_sim2real.cli.main import SUBCOMMANDS
from fetch_sim2real.cli.reference import LAUNCH_FILES, NODES, app, pages, tables
from fetch_sim2real.common.option import arguments_of
from fetch_sim2real.stack.options import PlacementOptions

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def anchor(heading: str) -> str:
    """What a heading's link is on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def headings(page: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {anchor(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        file, _, part = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{name} links to {target}"
        if part and path.suffix == ".md":
            assert part in headings(path), f"{name} links to {target}"


def test_modules_that_docstrings_name_are_there() -> None:
    library = ROOT / "fetch_sim2real"
    # Floors that once were are to be found, too.
    layers = {path.name for path in library.iterdir() if path.is_dir()} | {"observation", "robot", "safety"}
    for file in sorted(library.rglob("*.py")):
        for dotted in re.findall(r"``([a-z_]+(?:\.[a-z_]+)+)", file.read_text(encoding="utf-8")):
            first, *rest = dotted.split(".")
            if first not in layers:
                continue
            # What follows a module is a name in it.
            modules = (library.joinpath(first, *rest), library.joinpath(first, *rest[:-1]).with_suffix(".py"))
            found = any(path.exists() for path in (modules[0], modules[0].with_suffix(".py"), modules[1]))
            assert found, f"{file.relative_to(ROOT)} names {dotted}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in readme, f"README.md does not link docs/{page.name}"


@pytest.mark.parametrize("name", pages())
def test_pages_that_follow_from_the_code_are_current(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run `fetch-sim2real reference --docs docs`"


def test_the_check_of_the_pages_fails_when_one_is_out_of_date(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["--docs", str(tmp_path)]).exit_code == 0
    assert CliRunner().invoke(app, ["--docs", str(tmp_path), "--check"]).exit_code == 0
    (tmp_path / "topics.md").write_text("old")
    assert CliRunner().invoke(app, ["--docs", str(tmp_path), "--check"]).exit_code == 1


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """Every command line of the pages that starts with ``program``: page and words."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"```(?:bash|sh)?\n.*?```|^ {4,}\S[^\n]*|`[^`\n]+`", text, re.DOTALL | re.M):
            for line in block.strip("`").splitlines():
                line = re.sub(r"^\s*(\w+=\S+ )*(\.venv/bin/)?", "", line.split(" #")[0].strip())
                if line.startswith(program + " ") and "..." not in line:
                    yield page.name, shlex.split(line)[len(program.split()) :]


def expect_options(page: str, program: Any, words: Sequence[str]) -> None:
    """Each ``--option`` in ``words`` is one of the typer app's ``program`` or of its subcommands."""
    command = get_command(program)
    parts = [command, *getattr(command, "commands", {}).values()]
    options = {option for part in parts for p in part.params for option in (*p.opts, *p.secondary_opts)}
    for word in words:
        if word.startswith("--") and word != "--help":
            assert word.partition("=")[0] in options, f"{page}: {' '.join(words)}"


def test_subcommands_and_options_in_the_pages_exist() -> None:
    found = list(commands("fetch-sim2real"))
    assert len(found) > 10
    modules = {name: command.module for command in SUBCOMMANDS for name in (command.name, command.former_name)}
    for page, words in found:
        if not words[0][0].isalpha():
            continue
        assert words[0] in modules, f"{page}: fetch-sim2real {words[0]}"
        expect_options(page, importlib.import_module(modules[words[0]]).app, words[1:])


def test_targets_and_their_arguments_in_the_pages_exist() -> None:
    found = [(page, words) for page, words in commands("make") if re.fullmatch(r"[a-z]+", words[0])]
    assert len(found) > 10
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page, words in found:
        assert re.search(rf"^{words[0]}:", makefile, re.MULTILINE), f"{page}: make {words[0]}"
        for word in words[1:]:
            if words[0] == "sim" and word.startswith("ARGS="):
                expect_options(page, fetch_sim2real.cli.sim.app, shlex.split(word.removeprefix("ARGS=")))


def test_modules_and_their_options_in_the_pages_exist() -> None:
    found = list(commands("python -m"))
    assert len(found) > 10
    for page, (name, *words) in found:
        if name.startswith("benchmarks."):
            # Their parsers are made where they run, so what is looked for is the text.
            path = ROOT / Path(*name.split("."))
            sources = [*path.parent.glob(f"{path.name}.py"), *path.glob("*.py")]
            assert sources, f"{page}: python -m {name}"
            sources.append(ROOT / "benchmarks" / "graph_run.py")  # has the options of several
            text = "".join(source.read_text(encoding="utf-8") for source in sources)
            for word in words:
                if word.startswith("--"):
                    assert word == "--help" or f'"{word}"' in text, f"{page}: python -m {name} {' '.join(words)}"


def test_nodes_and_their_parameters_in_the_pages_exist() -> None:
    found = [(page, node, words) for node in NODES for page, words in commands(f"{node} --ros-args")]
    assert len(found) > 2
    for page, node, words in found:
        known = {parameter.name for parameter in tables()[node]}
        for word in words:
            if ":=" in word:
                assert word.partition(":=")[0] in known, f"{page}: {node} {word}"


def test_launch_files_and_their_arguments_in_the_pages_exist() -> None:
    found = list(commands("ros2 launch fetch_sim2real"))
    assert len(found) > 3
    placement = arguments_of(PlacementOptions)
    for page, words in found:
        arguments = (*arguments_of(LAUNCH_FILES[words[0]]), *placement)
        known = {argument.name: argument for argument in arguments}
        for word in words[1:]:
            if not word.startswith("--"):
                name, _, value = word.partition(":=")
                assert name in known, f"{page}: {word}"
                assert not known[name].choices or value in known[name].choices, f"{page}: {word}"


def is_file_of_ours(path: str) -> bool:
    """Paths are written from the clone's root, or from the library's folder; ``*`` stands for any name."""
    return any(any(base.glob(path.rstrip("/"))) for base in (ROOT, ROOT / "fetch_sim2real"))


def is_name_of_ours(name: str) -> bool:
    """A module, or something in one, from the root or from the library; ``timing.PHYSICS_STEP_S`` is one."""
    parts = name.split(".")
    for root in ((), ("fetch_sim2real",)):
        for count in range(len(parts), 0, -1):
            place = ROOT.joinpath(*root, *parts[:count])
            if place.with_suffix(".py").is_file() or (place / "__init__.py").is_file():
                found = importlib.import_module(".".join((*root, *parts[:count])))
                for part in parts[count:]:
                    if not hasattr(found, part):
                        return False
                    found = getattr(found, part)
                return True
    return False


LIBRARY = {path.stem for path in (ROOT / "fetch_sim2real").iterdir() if path.is_dir() or path.suffix == ".py"}
FOLDERS = {"fetch_sim2real", "benchmarks", "tests", "launch", "config", "policies", "scripts", "examples", *NODES}
# What is written like a path of ours, and stands for one that does not exist.
PLACEHOLDERS = frozenset({"fetch_sim2real/sim/X"})
FILE_ENDINGS = ("yaml", "json", "py", "md", "db3", "png")


def mentioned(text: str) -> Iterator[str]:
    """Paths and dotted names of ours in a page's code spans."""
    for span in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        yield from re.findall(r"(?<![\w./~<:-])[A-Za-z_][\w.-]*(?:/[\w.*-]+)+", span)
        yield from (name for name in re.findall(r"(?<![\w./-])[a-z_]\w*(?:\.\w+)+(?![\w/])", span))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CHANGELOG.md"])
def test_files_and_modules_in_the_pages_exist(name: str) -> None:
    for mention in mentioned((ROOT / name).read_text(encoding="utf-8")):
        first = re.split(r"[/.]", mention)[0]
        if "/" in mention:
            ours = first in FOLDERS or first in LIBRARY
            assert not ours or mention in PLACEHOLDERS or is_file_of_ours(mention), f"{name}: {mention}"
        elif mention.rpartition(".")[2] not in FILE_ENDINGS and (first in LIBRARY or first in FOLDERS):
            assert is_name_of_ours(mention), f"{name}: {mention}"


def test_missing_files_and_modules_are_found() -> None:
    assert not is_file_of_ours("fetch_sim2real/robot") and not is_name_of_ours("training.no_such_module")
    assert not is_name_of_ours("fetch_sim2real.policy.network.NoSuchName")
    assert list(mentioned("see `fetch_sim2real/a.py` and `training.b`")) == ["fetch_sim2real/a.py", "training.b"]


def test_yaml_blocks_are_yaml() -> None:
    for page in PAGES:
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            assert yaml.safe_load(block), page


@pytest.mark.slow
def test_cheap_commands_of_the_pages_run() -> None:
    for words in (["check-graph", "--contract-only"], ["--version"], ["import-policy", "--help"]):
        command = [sys.executable, "-m", "fetch_sim2real.cli.main", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
