"""Small programs that ``doctor`` runs in processes of their own, so that a library may crash or hang without harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fetch_sim2real.errors import SetupError

TIME_LIMIT_S: Final = 60.0
# What a traceback puts before a message of the project's own, which says enough.
_OWN_ERROR: Final = f"{SetupError.__module__}.{SetupError.__qualname__}: "

ROS: Final = """
import importlib, json, sys
import rclpy
from rclpy.utilities import get_rmw_implementation_identifier
for interface in sys.argv[1:]:
    package, kind, name = interface.split("/")
    getattr(importlib.import_module(f"{package}.{kind}"), name)
    # Type support is loaded from shared libraries, and only here does a missing one show.
    getattr(importlib.import_module(f"{package}.{kind}"), name).__class__.__import_type_support__()
print(json.dumps({"rmw": get_rmw_implementation_identifier(), "path": rclpy.__file__}))
"""

RENDERING: Final = """
import json, time
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.sim.mujoco.render import RgbdRenderer
model = mujoco.MjModel.from_xml_string('''<mujoco><visual><headlight ambient="1 1 1"/></visual><worldbody>
  <geom type="sphere" size=".1" rgba="1 0 0 1"/><camera name="c" pos="0 0 1"/></worldbody></mujoco>''')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = RgbdRenderer(model, "c", 32, 24)
renderer.render_color(data)  # the first one compiles shaders
started = time.perf_counter()
image = renderer.render_color(data)
render_ms = 1e3 * (time.perf_counter() - started)
from OpenGL import GL
name = GL.glGetString(GL.GL_RENDERER)
print(json.dumps({
    "centre": image[12, 16].tolist(), "corner": image[0, 0].tolist(), "platform": renderer.platform,
    "renderer": name.decode() if name else "unknown", "render_ms": render_ms,
}))
renderer.close()
"""

DRAKE: Final = """
import importlib.metadata, json
import numpy as np
from pydrake.geometry import (
    ClippingRange, ColorRenderCamera, GeometryInstance, MakeRenderEngineVtk, PerceptionProperties, RenderCameraCore,
    RenderEngineVtkParams, RenderLabel, Rgba, SceneGraph, Sphere)
from pydrake.math import RigidTransform
from pydrake.systems.sensors import CameraInfo
scene = SceneGraph()
scene.AddRenderer("vtk", MakeRenderEngineVtk(RenderEngineVtkParams(default_clear_color=np.zeros(3), backend="EGL")))
properties = PerceptionProperties()
properties.AddProperty("label", "id", RenderLabel.kDontCare)
properties.AddProperty("phong", "diffuse", Rgba(1.0, 0.0, 0.0))
ball = GeometryInstance(RigidTransform([0.0, 0.0, 1.0]), Sphere(0.1), "ball")
ball.set_perception_properties(properties)
scene.RegisterAnchoredGeometry(scene.RegisterSource("probe"), ball)
camera = RenderCameraCore("vtk", CameraInfo(32, 24, 24.0, 24.0, 16.0, 12.0), ClippingRange(0.1, 2.0), RigidTransform())
query = scene.get_query_output_port().Eval(scene.CreateDefaultContext())
image = query.RenderColorImage(ColorRenderCamera(camera), scene.world_frame_id(), RigidTransform()).data
print(json.dumps({
    "version": importlib.metadata.version("drake"), "centre": image[12, 16, :3].tolist(),
    "corner": image[0, 0, :3].tolist(),
}))
"""

REALSENSE: Final = """
import json
import pyrealsense2 as rs
devices = [d.get_info(rs.camera_info.name) for d in rs.context().query_devices()]
print(json.dumps({"devices": devices}))
"""


@dataclass(frozen=True)
class ProbeResult:
    """What a probe printed as JSON, or ``error``: the last line of its complaint."""

    values: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


def run_probe(
    program: str,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    time_limit_s: float = TIME_LIMIT_S,
) -> ProbeResult:
    """Run ``program`` in a fresh interpreter with ``environment`` added to the present one."""
    try:
        finished = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=time_limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ProbeResult(error=f"no answer within {time_limit_s:.0f} s")
    except OSError as error:
        return ProbeResult(error=f"{sys.executable} cannot be started: {error}")
    if finished.returncode != 0:
        lines = [line for line in finished.stderr.splitlines() if line.strip()]
        if not lines:
            return ProbeResult(error=f"ended with status {finished.returncode}")
        return ProbeResult(error=lines[-1].strip().removeprefix(_OWN_ERROR))
    try:
        return ProbeResult(values=json.loads(finished.stdout.splitlines()[-1]))
    except (IndexError, json.JSONDecodeError):
        return ProbeResult(error=f"unexpected output: {finished.stdout[-200:]!r}")
