"""Stack info: the policy and the world that the nodes run with, as far as this machine has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from fetch_sim2real import graph
from fetch_sim2real.arm.collision import CollisionModel
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.errors import BundleError, FetchSim2RealError
from fetch_sim2real.operation.preflight_checks import Check
from fetch_sim2real.operation.start_region import StartRegion, start_region_of
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.ros.node_parameters import read_parameters
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.workcell import WorkcellConfig, load_workcell

Content = TypeVar("Content")


@dataclass(frozen=True)
class StackInfo:
    """Bundle and worlds, loaded and verified here; None where this machine does not have them.

    ``workcell`` is the driver's, ``world`` the simulation's sections of the same file where it has them. ``region`` is
    where training began, ``model`` the driver's scene, ``ik`` the kinematics at the bundle's height.
    """

    policy_folder: str
    backend: str
    bundle: PolicyBundle | None
    bundle_error: str
    workcell: WorkcellConfig | None
    world: World | None
    region: StartRegion | None
    model: CollisionModel | None
    ik: DifferentialIk | None

    @property
    def trial_s(self) -> float | None:
        """Length of the episodes that the actor was trained on."""
        if self.bundle is None or self.world is None:
            return None
        task = self.world.tasks.get(self.bundle.manifest.task)
        return None if task is None else task.episode_s

    def check_bundle(self, running_sha256: str) -> Check:
        """Check whether the bundle is whole, and the one that the node has loaded."""
        if self.bundle is None:
            if self.bundle_error:
                return Check("bundle", "fail", self.bundle_error, "export the bundle again, or take another")
            return Check(
                "bundle", "unknown", f"{self.policy_folder} is not on this machine; the node verified it at its start"
            )
        manifest, sha256 = self.bundle.manifest, self.bundle.sha256
        if sha256 != running_sha256:
            return Check(
                "bundle", "fail", f"the node runs {running_sha256[:12] or 'nothing'}, the folder holds {sha256[:12]}",
                "the folder was changed after the start: start policy_node again",
            )  # fmt: skip
        success = manifest.success
        measured = "" if success is None else f", {success.rate:.0%} success in {success.world}"
        return Check("bundle", "ok", f"{manifest.task} {sha256[:12]}: hashes and golden actions agree{measured}")


def read_stack_info(session: RosSession) -> StackInfo:
    """Ask the nodes what they run with, and load the same here. GraphError if they do not answer."""
    policy = str(read_parameters(session, graph.POLICY_NODE, ("policy",))["policy"])
    driver = read_parameters(session, graph.ARM_DRIVER, ("world", "backend"))
    torch.set_num_threads(1)
    bundle, bundle_error = _load_bundle(policy)
    workcell, world = _read(load_workcell, str(driver["world"])), _read(load_world, str(driver["world"]))
    region, ik = None, None
    if bundle is not None:
        ik = DifferentialIk(bundle.manifest.torso_height_m)
        region = _region(bundle)
    model = None if workcell is None else CollisionModel(workcell.scene())
    return StackInfo(policy, str(driver["backend"]), bundle, bundle_error, workcell, world, region, model, ik)


def _read(load: Callable[[str, Path], Content], world: str) -> Content | None:
    try:
        return load(world, worlds_dir())
    except FetchSim2RealError:
        return None


def _load_bundle(policy: str) -> tuple[PolicyBundle | None, str]:
    try:
        folder: Path = find_policy(policy)
    except FetchSim2RealError:
        return None, ""
    try:
        return load_bundle(folder), ""
    except BundleError as error:
        return None, str(error)


def _region(bundle: PolicyBundle) -> StartRegion | None:
    try:
        return start_region_of(bundle.manifest, worlds_dir())
    except FetchSim2RealError:
        return None
