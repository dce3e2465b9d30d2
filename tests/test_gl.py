"""OpenGL is opened with the first picture, by what the machine has for it; what is wrong with it is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fetch_sim2real.errors import SetupError
from fetch_sim2real.sim.mujoco.gl import platforms

ROOT = Path(__file__).resolve().parent.parent
OF_THE_MACHINE = ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY", "PYOPENGL_PLATFORM", "MUJOCO_EGL_DEVICE_ID")

ENVIRONMENTS = """
import gymnasium
import fetch_sim2real.envs
from fetch_sim2real.errors import SetupError

state = gymnasium.make("FetchSim2Real/Reach-v0")
state.reset(seed=1)
print("physics")
pictures = gymnasium.make("FetchSim2Real/Reach-v0", observation_mode="rgbd", render_mode="rgb_array")
for draw in (lambda: pictures.reset(seed=1), lambda: state.unwrapped.__class__("reach", render_mode="rgb_array")):
    try:
        made = draw()
    except SetupError as error:
        print(error)
    else:
        print("made")
pictures.close()
"""

OPENING = """
from fetch_sim2real.errors import SetupError
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.sim.mujoco.gl import open_context

assert mujoco.MjModel.from_xml_string("<mujoco/>").nq == 0
try:
    open_context(32, 24).free()
except SetupError as error:
    print(error)
"""

# Processes started in three ways, before and after this one has opened OpenGL itself.
OTHER_PROCESSES = """
import multiprocessing
import gymnasium
import fetch_sim2real.envs
from fetch_sim2real.errors import SetupError

def run(context):
    made = gymnasium.make_vec(
        "FetchSim2Real/Reach-v0", num_envs=1, vectorization_mode="async", observation_mode="rgbd",
        vector_kwargs={"context": context},
    )
    try:
        seen, _ = made.reset(seed=3)
        made.step(made.action_space.sample())
        print(context, seen["rgb"].max() > 0, flush=True)
    except SetupError as error:
        print(context, error, flush=True)
    made.close(terminate=True)

def use_inherited(made):
    for draw in (lambda: made.reset(seed=2), lambda: made.step(made.action_space.sample()), made.render):
        try:
            draw()
        except SetupError as error:
            print("forked" in str(error), flush=True)
    made.close()

if __name__ == "__main__":
    run("fork")
    made = gymnasium.make("FetchSim2Real/Reach-v0", observation_mode="rgbd", render_mode="rgb_array")
    made.reset(seed=1)
    made.render()
    for context in ("fork", "forkserver", "spawn"):
        run(context)
    child = multiprocessing.get_context("fork").Process(target=use_inherited, args=(made,))
    child.start()
    child.join(20)
    print(child.exitcode, flush=True)
    child.kill()
    made.step(made.action_space.sample())
    made.close()
"""


def run(program: str | Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in OF_THE_MACHINE}
    command = [sys.executable, str(program)] if isinstance(program, Path) else [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=ROOT, env={**inherited, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True,
        check=False, timeout=100.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("egl",)),
        ({"MUJOCO_GL": "", "DISPLAY": ""}, ("egl",)),
        ({"DISPLAY": ":0"}, ("egl", "glfw")),
        ({"WAYLAND_DISPLAY": "wayland-0", "MUJOCO_GL": "on"}, ("egl", "glfw")),
        ({"MUJOCO_GL": " EGL ", "DISPLAY": ":0"}, ("egl",)),
        ({"MUJOCO_GL": "glx"}, ("glfw",)),
        ({"MUJOCO_GL": "osmesa"}, ("osmesa",)),
    ],
)
def test_egl_is_chosen_unless_another_is_named(environment: dict[str, str], expected: tuple[str, ...]) -> None:
    assert platforms(environment, "linux") == expected


@pytest.mark.parametrize("asked", ["nonsense", "off", "0", "wgl"])
def test_a_variable_that_names_no_platform_is_refused(asked: str) -> None:
    with pytest.raises(SetupError, match=f"MUJOCO_GL.*{asked}.*unset MUJOCO_GL"):
        platforms({"MUJOCO_GL": asked}, "linux")


def test_what_names_no_platform_is_said_at_the_first_picture_and_physics_runs() -> None:
    ended = run(ENVIRONMENTS, {"MUJOCO_GL": "nonsense"})
    physics, refusal, constructed = ended.stdout.splitlines()
    assert (physics, constructed) == ("physics", "made"), "nothing is opened before the first picture"
    assert "MUJOCO_GL is 'nonsense'" in refusal
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"MUJOCO_GL": "glfw"}, "glfw: "),
        ({"MUJOCO_GL": "egl", "__EGL_VENDOR_LIBRARY_DIRS": "/nonexistent"}, "egl: "),
        ({"DISPLAY": ":987", "__EGL_VENDOR_LIBRARY_DIRS": "/nonexistent"}, "glfw: "),
        ({"MUJOCO_EGL_DEVICE_ID": "first"}, "MUJOCO_EGL_DEVICE_ID is 'first'"),
    ],
)
def test_a_platform_that_does_not_open_is_one_line(environment: dict[str, str], named: str) -> None:
    ended = run(OPENING, environment)
    (refusal,) = ended.stdout.splitlines()
    assert named in refusal and "libegl1" in refusal
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.gl
def test_pictures_in_other_processes_however_they_are_started(tmp_path: Path) -> None:
    program = tmp_path / "other_processes.py"
    program.write_text(OTHER_PROCESSES, encoding="utf-8")
    ended = run(program, {})
    assert ended.returncode == 0, ended.stderr
    first, after, *others = ended.stdout.splitlines()
    assert first == "fork True"
    assert after.startswith("fork this process was forked") and "spawn" in after
    assert others == ["forkserver True", "spawn True", "True", "True", "True", "0"], ended.stderr
