"""OpenGL contexts without a window, opened by whatever this machine has for it.

Nothing here happens at import: a context belongs to the process and the thread that opened it, and learners make
environments in one process to use them in another.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final

from fetch_sim2real.errors import SetupError

PLATFORM_VARIABLE: Final = "MUJOCO_GL"
# What else may keep a platform from being opened, and what it would have to say.
_OTHER_VARIABLES: Final = {"MUJOCO_EGL_DEVICE_ID": "a device's number", "PYOPENGL_PLATFORM": "the platform's name"}
_SCREEN_VARIABLES: Final = ("DISPLAY", "WAYLAND_DISPLAY")
# MuJoCo's own words for the variable, and what they mean here.
_NAMED: Final = {"egl": "egl", "osmesa": "osmesa", "glfw": "glfw", "glx": "glfw"}
_ANY: Final = ("", "enable", "enabled", "on", "true", "1")
_NONE: Final = ("disable", "disabled", "off", "false", "0")


def platforms(environment: Mapping[str, str], system: str = sys.platform) -> tuple[str, ...]:
    """Return the platforms to try, best first: the one that ``MUJOCO_GL`` names; without it EGL, which needs no screen.

    Raises ``SetupError`` if ``MUJOCO_GL`` names none.
    """
    asked = environment.get(PLATFORM_VARIABLE, "").strip().lower()
    if asked in _NAMED:
        return (_NAMED[asked],)
    if asked in _NONE:
        raise SetupError(f"{PLATFORM_VARIABLE}={asked} forbids pictures: unset {PLATFORM_VARIABLE}, or set it to egl")
    if asked not in _ANY:
        raise SetupError(
            f"{PLATFORM_VARIABLE} is '{asked}', expected one of {', '.join(_NAMED)}: unset {PLATFORM_VARIABLE}, or set "
            "it to egl"
        )
    if system == "darwin":
        return ("cgl",)
    if system != "linux":
        return ("glfw",)
    return ("egl", "glfw") if any(environment.get(name) for name in _SCREEN_VARIABLES) else ("egl",)


class GlContext:
    """An open context; of use only in the process and the thread that opened it."""

    def __init__(self, platform: str, width: int, height: int) -> None:
        """Open it for pictures up to this size and make it the thread's. Errors are the platform's own, of any kind."""
        self.platform = platform
        self._process = os.getpid()
        self._context = _quiet(importlib.import_module(f"mujoco.{platform}").GLContext)(width, height)
        self._context.make_current()
        if platform == "glfw" and not importlib.import_module("glfw").get_current_context():
            raise RuntimeError("GLFW opens no window")

    def make_current(self) -> None:
        """Make this the context that OpenGL draws into. ``SetupError`` in a forked process."""
        self.require_ours()
        self._context.make_current()

    @property
    def is_ours(self) -> bool:
        """False in a process forked from the one that opened it: there the driver's threads and locks are dead."""
        return self._process == os.getpid()

    def require_ours(self) -> None:
        """Raise ``SetupError`` in a process forked from the one that opened it."""
        if not self.is_ours:
            raise _fork_error()

    def free(self) -> None:
        """Give it back."""
        self._context.free()


def open_context(width: int, height: int) -> GlContext:
    """Return a context for pictures up to this size, current in this thread.

    Raises ``SetupError`` where no platform can be opened, and in a process forked from one that has opened OpenGL.
    """
    if _opener() != os.getpid():
        raise _fork_error()
    failures = []
    for platform in platforms(os.environ):
        with warnings.catch_warnings(record=True) as caught:  # GLFW complains in warnings
            warnings.simplefilter("always")
            try:
                return GlContext(platform, width, height)
            except Exception as error:
                reason = str(caught[0].message) if caught else str(error) or type(error).__name__
        failures.append(f"{platform}: {' '.join(reason.split())}")
    hint = "".join(
        f" {name} is '{os.environ[name]}': unset it, or give it {expected}."
        for name, expected in _OTHER_VARIABLES.items()
        if name in os.environ
    )
    raise SetupError(
        f"no pictures can be made on this machine, no OpenGL platform opens ({'; '.join(failures)}).{hint} Without a "
        f"screen set {PLATFORM_VARIABLE}=egl and install Debian's libegl1, libgl1 and libgl1-mesa-dri; `fetch-sim2real "
        "doctor` checks"
    )


def _quiet(platform_context: type[Any]) -> type[Any]:
    """MuJoCo's class, whose destructor complains where opening failed, or when the interpreter ends before it."""

    class Quiet(platform_context):  # type: ignore[misc]
        _context = None

        def __del__(self) -> None:
            with suppress(Exception):
                super().__del__()

    return Quiet


@cache
def _opener() -> int:
    """The process that opened OpenGL first: this one, or one that it was forked from."""
    return os.getpid()


def _note_opener() -> None:
    """Before a fork: others in this process may have opened OpenGL by way of MuJoCo."""
    egl = sys.modules.get("mujoco.egl")
    if getattr(egl, "EGL_DISPLAY", None) is not None:
        _opener()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_note_opener)


def _fork_error() -> SetupError:
    return SetupError(
        "this process was forked from one that has opened OpenGL, which does not survive a fork: start processes with "
        "'spawn' or 'forkserver' (vector_kwargs={'context': 'spawn'}), or make no picture before they are started"
    )
