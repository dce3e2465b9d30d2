"""MuJoCo and mink, imported so that physics runs on machines that cannot render.

MuJoCo loads an OpenGL platform as it is imported, and fails where ``MUJOCO_GL`` names one that does not exist or cannot
be loaded. Only pictures need it: ``sim.mujoco.gl`` opens it with the first one and says then what is wrong. So
everything that uses MuJoCo takes it from here.
"""

from __future__ import annotations

import importlib
import os

_VARIABLE = "MUJOCO_GL"


def _import_without_opengl() -> None:
    asked = os.environ[_VARIABLE]
    os.environ[_VARIABLE] = "disable"
    try:
        importlib.import_module("mujoco")
    finally:
        os.environ[_VARIABLE] = asked


try:
    import mujoco
except Exception:  # from an import or from a ctypes binding, of any kind
    if not os.environ.get(_VARIABLE):
        raise
    _import_without_opengl()
    import mujoco

import mink  # noqa: E402  imports mujoco

__all__ = ["mink", "mujoco"]
