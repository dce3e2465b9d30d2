"""``fetch-sim2real sim`` from end to end with an untrained policy: it need not succeed, but all must be told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest
from rosbags.highlevel import AnyReader

from fetch_sim2real import graph
from fetch_sim2real.evaluation.result import RunResult

pytestmark = [pytest.mark.ros, pytest.mark.gl, pytest.mark.slow, pytest.mark.timeout(90)]

EPISODE_S = 1.0
START_LIMIT_S = 40.0
END_LIMIT_S = 40.0  # a node that waits for what does not come any more is cut short after 30 s


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("rclpy")
    from benchmarks.rig.graph_harness import write_untrained_bundle

    folder = tmp_path_factory.mktemp("bundle")
    write_untrained_bundle(folder)
    return folder


@pytest.fixture
def world(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(f"extends: nominal\nname: short\ntasks: {{reach_block: {{episode_s: {EPISODE_S}}}}}\n")
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "fetch_sim2real.cli.main", "sim", *map(str, arguments)]


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, timeout=80, **options)


def nodes_of(program: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """The node processes of a running ``sim``, by package."""
    found = {}
    for process in psutil.Process(program.pid).children():
        words = process.cmdline()
        if "-m" in words:
            found[words[words.index("-m") + 1].partition(".")[0]] = process
    return found


def wait_for(condition: Callable[[], bool], limit_s: float = START_LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def start(tmp_path: Path, *arguments: object) -> tuple[subprocess.Popen[str], dict[str, psutil.Process]]:
    """A long run whose first episode is over."""
    log = tmp_path / "output"
    with log.open("w") as stream:
        program = subprocess.Popen(command(*arguments), stdout=stream, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: program.poll() is not None or "seed" in log.read_text())
    assert program.poll() is None, log.read_text()
    return program, nodes_of(program)


def all_gone(processes: dict[str, psutil.Process], limit_s: float) -> bool:
    _, alive = psutil.wait_procs(list(processes.values()), timeout=limit_s)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def test_two_episodes_give_a_table_a_result_a_picture_and_a_bag(tmp_path: Path, bundle: Path, world: Path) -> None:
    folder, copy = tmp_path / "run", tmp_path / "copy.json"
    done = run("--policy", bundle, "--world", world, "--episodes", 2, "--seed", 5, "--record", folder, "--json", copy)
    assert done.returncode == 0, done.stderr + done.stdout

    result = RunResult.model_validate_json((folder / "result.json").read_text())
    assert copy.read_text() == (folder / "result.json").read_text()
    assert [episode.seed for episode in result.episodes] == [5, 6]
    frames = sum(episode.steps for episode in result.episodes)
    assert frames > 2 * EPISODE_S * 20
    assert result.frames_lost == result.missed_cycles == 0, "lockstep waits"
    assert result.refusals == {}
    assert result.frames_unrecorded == 0
    assert result.start_up_s is not None and result.rate_hz > 0 and result.realtime_factor > 0
    assert result.latency_ms.frame_to_command is not None and result.latency_ms.frame_to_command.p50 > 0

    assert "0 of 2" in done.stdout or "1 of 2" in done.stdout or "2 of 2" in done.stdout
    for name in ("bag", "episode.png", "result.json"):
        assert str(folder / name) in done.stdout

    picture = cv2.imread(str(folder / "episode.png"))
    assert picture is not None and picture.shape[1] > 1000
    # Not just paper: many colours, those of the depth among them.
    assert len({tuple(pixel) for pixel in picture[::7, ::7].reshape(-1, 3).tolist()}) > 200

    with AnyReader([folder / "bag"]) as reader:
        counts = Counter(connection.topic for connection, _, _ in reader.messages())
    assert counts[graph.COLOR.name] == counts[graph.DEPTH.name] == frames
    assert counts[graph.JOINT_COMMAND.name] == frames
    assert counts[graph.SIM_OUTCOME.name] == 2
    metadata = json.loads((folder / "bag" / "recording.json").read_text())["metadata"]
    assert metadata["policy_sha256"] == result.policy_sha256
    assert "Traceback" not in "".join(path.read_text() for path in (folder / "logs").glob("*.log"))


def test_real_time_runs_against_the_wall_clock_and_keeps_no_files(tmp_path: Path, bundle: Path) -> None:
    copy = tmp_path / "result.json"
    options = ("--realtime", "--duration", 3, "--no-record", "--json", copy, "--blank-image")
    done = run("--policy", bundle, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    result = RunResult.model_validate_json(copy.read_text())
    assert (result.clock, result.control, result.bag, result.picture) == ("realtime", "blank_image", None, None)
    assert len(result.episodes) == 1
    assert 5.0 < result.rate_hz < 33.0
    assert result.realtime_factor <= 1.05
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_node_that_dies_is_named_and_the_others_end(tmp_path: Path, bundle: Path, world: Path) -> None:
    program, nodes = start(tmp_path, "--policy", bundle, "--world", world, "--episodes", 500, "--no-record")
    nodes["policy_node"].kill()
    assert program.wait(timeout=30) == 1
    assert re.search("process 'policy_node' was ended by SIGKILL", (tmp_path / "output").read_text())
    assert all_gone(nodes, 1.0)


def test_two_interrupts_end_everything_at_once(tmp_path: Path, bundle: Path, world: Path) -> None:
    program, nodes = start(tmp_path, "--policy", bundle, "--world", world, "--episodes", 500, "--no-record")
    assert set(nodes) == {"policy_node", "sim_bridge", "arm_driver"}
    program.send_signal(signal.SIGINT)
    time.sleep(0.1)
    program.send_signal(signal.SIGINT)
    assert program.wait(timeout=10) == 128 + signal.SIGINT
    assert all_gone(nodes, 1.0)
    output = (tmp_path / "output").read_text()
    assert "Traceback" not in output
    assert re.search(r"\d+ of \d+ = ", output), "the episodes that were over are reported"


def test_nodes_end_with_a_command_that_is_killed(tmp_path: Path, bundle: Path, world: Path) -> None:
    program, nodes = start(tmp_path, "--policy", bundle, "--world", world, "--episodes", 500, "--no-record")
    program.kill()
    program.wait(timeout=10)
    assert all_gone(nodes, END_LIMIT_S)


def test_a_domain_with_another_graph_is_refused(tmp_path: Path, bundle: Path, world: Path) -> None:
    """A simulated driver must not move somebody else's arm."""
    rclpy = pytest.importorskip("rclpy")
    from fetch_sim2real.ros.topics import subscribe_to

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("arm_controller", context=context)
    try:
        subscribe_to(node, graph.ARM_TRAJECTORY, lambda message: None)
        done = run("--policy", bundle, "--world", world, "--episodes", 1, "--no-record")
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    assert done.returncode == 1
    assert "arm_controller" in done.stderr and "ROS_DOMAIN_ID=" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--policy", "no_such"), "no_such"),
        (("--world", "no_such"), "available: acceptance, gap, gap_v2, nominal"),
        (("--camera", "1x1@1"), "424x240@30"),
        (("--duration", "5"), "--realtime"),
        (("--no-record", "--video", "e.mp4"), "--no-record"),
        (("--record", "."), "not empty"),
        (("--policy", "push", "--task", "reach_block"), "is trained for push, and the goals of --task reach_block are"),
        (("--policy", "push", "--task", "slide"), "are elsewhere: it would refuse them"),
        (("--perturb", "kick"), "changes are move_block, shove"),
        (("--inject", "late"), "expected name=size"),
        (("--look", "often"), "every-frame"),
    ],
)
def test_mistakes_are_told_before_anything_starts(
    tmp_path: Path, bundle: Path, arguments: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "something").touch()
    started = time.monotonic()
    policy = () if "--policy" in arguments else ("--policy", bundle)
    done = run(*policy, *arguments, cwd=tmp_path)
    assert done.returncode != 0
    assert reason in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["something"], "nothing was made"
    assert time.monotonic() - started < 15


def test_help_needs_neither_ros_nor_mujoco() -> None:
    code = (
        "import sys\n"
        "for name in ('rclpy', 'mujoco', 'torch'): sys.modules[name] = None\n"
        "from fetch_sim2real.cli.sim import app\n"
        "app(args=['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    for word in ("--policy", "--move-block", "--blank-image", "--realtime", "Examples"):
        assert word in done.stdout
    assert os.linesep in done.stdout
