"""What people try first: the object is the largest red patch of the picture, as far away as its depth says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import torch

from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.perception.preprocess import Image
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.specs import ESTIMATED_GRIP, estimate_layout
from fetch_sim2real.types import FloatArray

# Hue, saturation, value of red as OpenCV counts them: hue ends at 180, and red lies at both ends.
_RED: Final = (((0, 110, 40), (10, 255, 255)), ((170, 110, 40), (180, 255, 255)))
_LEAST_PIXELS: Final = 6
# From the middle of the surface that is seen to the middle of a block of 5 cm.
_INWARDS_M: Final = 0.02


class ColourThreshold:
    """Estimates the position of a task's only object by colour and depth; the gripper is where the joints say.

    The camera is taken to be where the bundle says. An object that is hidden is where it was seen last; before it was
    seen at all, in the middle of where objects are. See ``evaluation.scripted.Estimator``.
    """

    def __init__(self, bundle: PolicyBundle, environments: int) -> None:
        self._actor, manifest = bundle.network, bundle.manifest
        task = find_task(manifest.task)
        if len(task.bodies) != 1 or not manifest.observation.proprioception:
            raise FetchSim2RealError(
                f"a colour threshold finds one red object, beside a gripper that the joints tell of; the policy for "
                f"'{task.name}' has {len(task.bodies)} objects and proprioception: "
                f"{manifest.observation.proprioception}. Choose another control"
            )
        self._layout = estimate_layout(task)
        pose, image = manifest.camera.base_T_camera, manifest.observation.image
        self._base_T_camera = Pose.from_quaternion(pose.position_m, pose.quaternion_xyzw)
        self._camera, self._far_m = image.camera(), image.depth_far_m
        self._vector = manifest.observation.vector
        middle_m = self._actor.auxiliary(torch.zeros(1, self._actor.spec.bottleneck_size))
        (name,) = (name for name in self._layout.names if name != ESTIMATED_GRIP)
        self._object = name
        self._middle_m = self._layout.part(middle_m, name)[0].numpy().astype(np.float64)
        self._last_m = np.tile(self._middle_m, (environments, 1))

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Forget where objects were seen."""
        self._last_m[slice(None) if environments is None else list(environments)] = self._middle_m

    def estimate(self, observations: Sequence[Observation], environments: Sequence[int]) -> torch.Tensor:
        """Return estimated positions as the bottleneck (N, b) of the bundle's actor holds them."""
        positions_m = torch.zeros(len(observations), len(self._actor.spec.auxiliary))
        for row, (observation, environment) in enumerate(zip(observations, environments, strict=True)):
            seen_m = self._find(observation.image)
            if seen_m is not None:
                self._last_m[environment] = seen_m
            positions_m[row, self._layout[self._object]] = torch.from_numpy(self._last_m[environment]).float()
            positions_m[row, self._layout[ESTIMATED_GRIP]] = self._grip_m(observation)
        return self._actor.normalize_auxiliary(positions_m)

    def _find(self, image: Image) -> FloatArray | None:
        hsv = cv2.cvtColor(image.rgb, cv2.COLOR_RGB2HSV)
        mask = np.zeros(hsv.shape[:2], np.uint8)
        for low, high in _RED:
            mask |= cv2.inRange(hsv, np.array(low), np.array(high)).astype(np.uint8)
        count, labels, sizes, _ = cv2.connectedComponentsWithStats(mask)
        if count < 2:
            return None
        patch = labels == 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA]))
        depth_m = image.depth_mm / 1e3
        v, u = np.nonzero(patch & (depth_m > 0.0) & (depth_m < self._far_m))
        if len(u) < _LEAST_PIXELS:
            return None
        surface_m = np.median(self._camera.deproject(np.stack([u, v], axis=1), depth_m[v, u]), axis=0)
        inwards = surface_m * (1.0 + _INWARDS_M / np.linalg.norm(surface_m))
        middle_m: FloatArray = self._base_T_camera.apply(inwards)
        return middle_m

    def _grip_m(self, observation: Observation) -> torch.Tensor:
        of = {value.name: index for index, value in enumerate(self._vector)}
        columns = [of[f"grip_{axis}"] for axis in "xyz"]
        scale = [self._vector[column].scale for column in columns]
        centre = [self._vector[column].centre for column in columns]
        return torch.from_numpy(observation.vector[columns]) * torch.tensor(scale) + torch.tensor(centre)
