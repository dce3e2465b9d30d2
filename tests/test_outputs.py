"""Places that cannot be written to are found before the work, and what was measured survives what comes after it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_bag import messages, write_mcap
from test_bundle import make_content, write_bundle
from typer.testing import CliRunner, Result

from fetch_sim2real.cli.main import app
from fetch_sim2real.common.outputs import Attempts, require_file_place, require_folder_place, write_text
from fetch_sim2real.common.picture_file import write_picture
from fetch_sim2real.errors import GraphError, SetupError
from fetch_sim2real.policy.bundle import load_bundle

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("policies") / "tiny", make_content())


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Path:
    return write_mcap(tmp_path_factory.mktemp("bags") / "bag.mcap", list(messages(load_bundle(policy), 4)))


@pytest.fixture
def folder_of_somebody_else(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that may be looked into and not written to; this process is not root meanwhile."""
    folder = Path("/tmp") / f"of_somebody_else_{os.getpid()}"
    folder.mkdir(mode=0o755)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    else:
        folder.chmod(0o555)
    yield folder
    os.seteuid(user)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def is_one_line(result: Result, *words: str) -> bool:
    """Whether the command ended with one line, and no traceback, that holds the words."""
    assert isinstance(result.exception, SystemExit), result.exception
    lines = [line for line in result.output.splitlines() if line]
    assert result.exit_code == 1 and len(lines) == 1 and lines[0].startswith("error: "), result.output
    return all(word in lines[0] for word in words)


# ---- before the work ------------------------------------------------------------------------------------------------

# Each option that names what a command writes, what it writes, and what else the command needs to get that far.
OUTPUTS: dict[str, tuple[str, list[str]]] = {
    "sim --record": ("folder", []),
    "sim --json": (".json", ["--no-record"]),
    "sim --video": (".mp4", ["--record", "{tmp}/run"]),
    "evaluate --folder": ("folder", ["smoke"]),
    "evaluate --json": (".json", ["smoke", "--folder", "{tmp}/run"]),
    "operate --log": (".jsonl", ["check"]),
    "calibrate-camera --output": (".yaml", []),
    "calibrate-camera --write-board": (".png", []),
    "align-camera --picture": (".png", []),
    "align-camera --write": (".yaml", []),
    "rerun --picture": (".png", ["{bag}", "--policy", "push"]),
    "play --record": ("folder", ["{bag}", "--policy", "push"]),
    "report --output": (".html", ["{bag}"]),
    "contact-sheet --output": (".png", []),
    "import-policy --output": ("folder", ["{bag}"]),
    "export-policy --output": (".onnx", ["push"]),
    "reference --docs": ("folder", []),
}
NEED_ROS = ("sim", "evaluate", "operate", "play", "reference")


@pytest.mark.parametrize("option", OUTPUTS)
def test_a_place_that_cannot_be_written_to_is_one_line_before_anything_is_done(
    option: str, tmp_path: Path, bag: Path
) -> None:
    command, name = option.split()
    if command in NEED_ROS:
        pytest.importorskip("rclpy")
    kind, others = OUTPUTS[option]
    suffix = "" if kind == "folder" else kind
    (tmp_path / "file").write_text("")
    (tmp_path / f"folder{suffix}").mkdir()
    bad = [tmp_path / "file" / f"below{suffix}", Path(f"/proc/nothing{suffix}"), Path(f"/sys/nothing{suffix}")]
    bad += [tmp_path / ("n" * 300 + suffix)]
    bad += [tmp_path / "file"] if kind == "folder" else [tmp_path / f"folder{suffix}"]
    for place in bad:
        others_now = [text.format(tmp=tmp_path, bag=bag) for text in others]
        # Options of `operate` come before its step.
        arguments = [name, str(place), *others_now] if command == "operate" else [*others_now, name, str(place)]
        assert is_one_line(run(command, *arguments), name, str(place)), place
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", OUTPUTS)
def test_a_home_folder_of_nobody_is_one_line(option: str, tmp_path: Path, bag: Path) -> None:
    command, name = option.split()
    if command in NEED_ROS:
        pytest.importorskip("rclpy")
    kind, others = OUTPUTS[option]
    place = "~nobody-of-this-name/it" + ("" if kind == "folder" else kind)
    others_now = [text.format(tmp=tmp_path, bag=bag) for text in others]
    arguments = [name, place, *others_now] if command == "operate" else [*others_now, name, place]
    assert is_one_line(run(command, *arguments), place, "write the whole path")


@pytest.mark.parametrize("command", ["train reach --run", "train reach --stage expert --run", "measure push --output"])
def test_training_finds_it_before_anything_is_done(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "below"
    words = [sys.executable, "-m", "fetch_sim2real.cli.main", *command.split(), str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ") and str(place) in done.stderr and done.stderr.count("\n") == 1


def test_a_folder_of_somebody_else_is_named(folder_of_somebody_else: Path) -> None:
    for refuse in (require_file_place, require_folder_place):
        with pytest.raises(SetupError, match="Permission denied"):
            refuse(folder_of_somebody_else / "new" / "one", "--here")
        refuse(Path("/tmp") / "new" / "one", "--here")
    assert list(folder_of_somebody_else.iterdir()) == []


def test_a_video_without_its_encoder_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rclpy")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    result = run("sim", "--record", tmp_path / "run", "--video", tmp_path / "v.mp4")
    assert is_one_line(result, "imageio-ffmpeg", "EXTRAS=viz")
    assert not (tmp_path / "run").exists()
    assert is_one_line(run("sim", "--record", tmp_path / "run", "--video", tmp_path / "v.txt"), ".mp4")


@pytest.mark.parametrize("stage", ["all", "expert"])
def test_training_without_matplotlib_is_refused_before_it_begins(stage: str, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        f"sys.argv = ['main', 'train', 'reach', '--stage', '{stage}', '--run', '{tmp_path / 'run'}']\n"
        "from fetch_sim2real.cli.main import app; app()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "matplotlib" in done.stderr and "EXTRAS=train" in done.stderr
    assert not (tmp_path / "run").exists()


# ---- after it -------------------------------------------------------------------------------------------------------


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "result.json"
    write_text("old", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    link = tmp_path / "link.json"
    link.symlink_to(path)
    write_text("through a link", link)
    assert link.is_symlink() and path.read_text() == "through a link"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SetupError, match="No space left on device"):
        write_text("new", path)
    assert path.read_text() == "through a link" and [file.name for file in path.parent.iterdir()] == ["result.json"]


@pytest.fixture
def full_disk(tmp_path: Path) -> Path:
    """What there is no room in; by a link of our own, since whoever writes in steps could replace the device."""
    link = tmp_path / "full.json"
    link.symlink_to("/dev/full")
    return link


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path, full_disk: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text("text", pipe)
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(SetupError, match="No space left on device"):
        write_text("text", full_disk)


def test_what_fails_beside_the_result_is_one_line_and_counts_only_if_asked_for() -> None:
    said: list[str] = []
    attempts = Attempts(said.append)

    def fail() -> None:
        raise RuntimeError("two\nlines")

    assert attempts.make("the strip", lambda: 3, asked=True) == 3
    assert attempts.make("the strip", fail, asked=False) is None and not attempts.failed
    assert attempts.make("the video", fail, asked=True) is None and attempts.failed
    assert said == ["the strip could not be made: two lines", "the video could not be made: two lines"]


def test_a_rerun_tells_its_numbers_whatever_becomes_of_the_picture(
    tmp_path: Path, bag: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("fetch_sim2real.cli.rerun.comparison_picture", fail)
    monkeypatch.chdir(tmp_path)
    result = run("rerun", bag, "--policy", policy, "--json")
    assert result.exit_code == 0 and "the picture rerun.png could not be made: MemoryError" in result.stderr
    assert json.loads(result.stdout)["commands"]["bit_exact"] == 4
    result = run("rerun", bag, "--policy", policy, "--json", "--picture", tmp_path / "p.png")
    assert result.exit_code == 1 and json.loads(result.stdout)["commands"]["bit_exact"] == 4


@pytest.fixture
def one_episode(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """`sim` without its graph: one episode is over, then comes the first of the errors put here, if there is one."""
    pytest.importorskip("rclpy")
    from fetch_sim2real.evaluation.result import EpisodeResult
    from fetch_sim2real.ros.simulated_runs.episodes import Episode, Run

    errors: list[Exception] = []

    def launched(settings: Any, logs: Path, stop: Any, console: Any, run: Run) -> None:
        result = EpisodeResult(
            seed=0, success=True, final_distance_m=0.01, steps=9, start_ns=0, goal_frame="block", goal_m=(0.0, 0.0, 0.0)
        )
        outcome: dict[str, Any] = {"answered": 9, "decisions": {}, "realtime_factor": 1.0}
        outcome |= {"frame_to_command_ms": [1.0], "total_ms": [2.0], "render_ms": [0.5]}
        run.episodes.append(Episode(result, outcome, 1.0, 0, 1))
        for error in errors:
            raise error

    monkeypatch.setattr("fetch_sim2real.ros.simulated_runs.run._run_launched", launched)
    yield errors


def test_a_runs_numbers_are_there_whatever_becomes_of_strip_and_video(
    one_episode: list[Exception], tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fetch_sim2real.ros.simulated_runs.settings.require_video_place", lambda *_: None)
    for number, options in enumerate(([], ["--video", str(tmp_path / "v.mp4")])):
        folder = tmp_path / str(number)
        result = run("sim", "--policy", policy, "--task", "push", "--episodes", 1, "--record", folder, *options)
        # There is no bag to draw from.
        assert result.exit_code == number, result.output
        assert "episode.png could not be made" in result.output and "1 of 1" in result.output
        assert ("v.mp4 could not be made" in result.output) == bool(number)
        assert json.loads((folder / "result.json").read_text())["episodes"][0]["success"] is True


def test_episodes_that_were_over_are_kept_when_the_graph_fails(
    one_episode: list[Exception], tmp_path: Path, policy: Path
) -> None:
    one_episode.append(GraphError("process 'recorder' ended"))
    copy = tmp_path / "r.json"
    arguments = ("--policy", policy, "--task", "push", "--record", tmp_path / "run", "--json", copy)
    result = run("sim", *arguments)
    assert result.exit_code == 1 and "process 'recorder' ended" in result.output
    assert json.loads(copy.read_text())["success_rate"] == 1.0
    assert copy.read_text() == (tmp_path / "run" / "result.json").read_text()


def test_a_result_that_cannot_be_written_is_printed_all_the_same(
    one_episode: list[Exception], policy: Path, full_disk: Path
) -> None:
    result = run("sim", "--policy", policy, "--task", "push", "--no-record", "--json", full_disk)
    assert result.exit_code == 1 and "No space left on device" in result.output and "1 of 1" in result.output


def test_half_a_line_of_a_measurement_is_measured_again(tmp_path: Path) -> None:
    from fetch_sim2real.cli.measure import measured

    file = tmp_path / "m.jsonl"
    file.write_text('{"seed": 1, "success": true}\n{"seed": 2, "succ')
    assert [line["seed"] for line in measured(file)] == [1]
    for other in ("[1, 2]\n", "no json\n", "\x00\n"):
        file.write_text(other)
        with pytest.raises(SetupError, match="measure --output"):
            measured(file)


# ---- names ----------------------------------------------------------------------------------------------------------

LATIN_1 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    "arguments",
    [
        ["rerun", "{latin}", "--policy", "{policy}"],
        ["report", "{latin}", "--output", "{latin}/run.html"],
        ["play", "{latin}", "--policy", "{policy}"],
        ["sim", "--record", "{latin}/run"],
        ["sim", "--policy", "{latin}"],
        ["evaluate", "smoke", "--folder", "{latin}/run"],
        ["evaluate", "{latin}/suite.yaml"],
        ["contact-sheet", "--world", "{latin}/world.yaml"],
        ["calibrate-camera", "--pictures", "{latin}"],
        ["check-calibration", "{latin}/c.yaml"],
        ["align-camera", "--bag", "{latin}"],
        ["import-policy", "{latin}/m.zip", "--output", "{latin}/out"],
        ["operate", "--log", "{latin}/log.jsonl", "label", "success"],
        ["reference", "--docs", "{latin}"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_name_that_is_no_utf8_is_one_line(arguments: list[str], tmp_path: Path, bag: Path, policy: Path) -> None:
    folder = tmp_path / LATIN_1
    folder.mkdir()
    shutil.copyfile(bag, folder / "bag.mcap")
    result = run(*(text.format(latin=folder, policy=policy) for text in arguments))
    assert is_one_line(result, "not valid UTF-8", "caf\\udce9")


def test_a_folder_to_work_in_that_is_no_utf8_or_gone_is_one_line(
    tmp_path: Path, bag: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / LATIN_1
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert is_one_line(run("rerun", bag, "--policy", policy), "not valid UTF-8")
    folder.rmdir()
    assert is_one_line(run("rerun", bag, "--policy", policy), "no longer there")


def test_files_of_such_names_in_a_bag_are_read_spoken_of_and_drawn(tmp_path: Path, bag: Path, policy: Path) -> None:
    """In a process of its own: its output is a pipe in UTF-8, and OpenCV ended it."""
    (tmp_path / "bag").mkdir()
    half = bag.read_bytes()[: bag.stat().st_size // 2]
    (tmp_path / "bag" / f"{LATIN_1}.mcap").write_bytes(half)
    words = ["rerun", str(tmp_path / "bag"), "--policy", str(policy)]
    done = subprocess.run(
        [sys.executable, "-m", "fetch_sim2real.cli.main", *words], capture_output=True, text=True, check=False,
        timeout=60, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert done.returncode == 0 and ".mcap has no end" in done.stdout, done.stderr
    assert run("report", tmp_path / "bag", "--output", tmp_path / "run.html").exit_code == 0
    assert "caf\\udce9.mcap has no end" in (tmp_path / "run.html").read_text()
    picture: Any = np.zeros((4, 6, 3), np.uint8)
    write_picture(picture, tmp_path / f"{LATIN_1}.png")
    assert (tmp_path / f"{LATIN_1}.png").read_bytes().startswith(b"\x89PNG")


def test_a_command_that_was_renamed_goes_on_working_unlisted(bag: Path, policy: Path, tmp_path: Path) -> None:
    picture = tmp_path / "p.png"
    former, now = (run(name, bag, "--policy", policy, "--json", "--picture", picture) for name in ("replay", "rerun"))
    assert former.exit_code == now.exit_code == 0
    assert json.loads(former.stdout)["commands"] == json.loads(now.stdout)["commands"]
    listed = run("--help").output
    assert "rerun" in listed and "replay" not in listed
