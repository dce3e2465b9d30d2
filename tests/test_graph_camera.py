"""What the images, the camera info and the world file say of the block is one truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from benchmarks.rig.graph_harness import run_episode, simulated_graph, write_untrained_bundle
from fetch_sim2real import graph
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.tasks.registry import find_task

pytestmark = [pytest.mark.ros, pytest.mark.gl]


def test_the_block_is_where_the_images_show_it(tmp_path: Path) -> None:
    """Truth end to end: the block's true centre, projected with CameraInfo and the world file's camera, is red, and as
    deep as a point on the near side of the block."""
    write_untrained_bundle(tmp_path / "bundle")
    options = SimGraphOptions(policy=str(tmp_path / "bundle"), lockstep=True, episode_s=0.3)
    nominal = load_world("nominal", worlds_dir())
    camera_T_base = Pose.looking_at(nominal.workcell.camera.position_m, nominal.workcell.camera.look_at_m).inverse()
    half_diagonal_m = find_task("reach_block").objects["block"].half_size_m.middle * np.sqrt(3)
    topics = (graph.COLOR, graph.DEPTH, graph.COLOR_INFO, graph.SIM_BLOCK_POSE)
    with simulated_graph(options, tmp_path / "log", *topics) as simulated:
        for seed in range(3):
            run_episode(simulated.operator, seed)
            color, depth, info, pose = (simulated.taps[topic].messages[-1] for topic in topics)
            assert color.header == depth.header == info.header
            assert color.header.frame_id == graph.COLOR_OPTICAL_FRAME and pose.header.frame_id == graph.BASE_FRAME
            point = pose.pose.position
            center_m = camera_T_base.apply([point.x, point.y, point.z])
            u, v = np.rint(decode_camera_info(info).project(center_m)).astype(int)
            red, green, blue = (int(c) for c in decode_color(color)[v, u])
            assert red > 2 * max(green, blue), (seed, red, green, blue)
            depth_m = decode_depth(depth)[v, u] * 1e-3
            assert center_m[2] - half_diagonal_m - 0.01 < depth_m < center_m[2], (seed, depth_m, center_m[2])
