"""The worked example of docs/camera.md is a camera that keeps the contract."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from benchmarks.rig.graph_harness import START_LIMIT_S, Tap
from fetch_sim2real import graph
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.ros.live_graph import observe
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.stack.graph_check import compare, violations

pytestmark = pytest.mark.ros

PAGE = Path(__file__).resolve().parents[1] / "docs" / "camera.md"
CAMERA = (graph.COLOR, graph.COLOR_INFO, graph.DEPTH, graph.DEPTH_INFO)
# There is no policy here, and how fast a busy machine is says nothing of the example.
NOT_THE_CAMERAS = {"missing_subscriber", "wrong_rate"}


def test_the_example_keeps_the_contract(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "my_camera.py").write_text(example, encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(tmp_path / "my_camera.py")])
    try:
        with RosSession("listener") as session:
            taps = {topic: Tap(session, topic) for topic in CAMERA}
            session.wait_until(
                lambda: all(len(tap.messages) > 5 for tap in taps.values()), START_LIMIT_S, lambda: "pictures"
            )
            stamps = [{decode_stamp(m.header.stamp): m for m in tap.messages} for tap in taps.values()]
        shared = set.intersection(*(set(by_stamp) for by_stamp in stamps))
        color, info, depth, depth_info = (by_stamp[min(shared)] for by_stamp in stamps)
        assert decode_color(color).shape == (240, 424, 3)
        assert np.all(decode_depth(depth) == 1200)
        assert info == depth_info and decode_camera_info(info).fx == pytest.approx(308.6)
        live = observe(CAMERA, 1.0, lambda: None).live
        faults = [fault for fault in violations(compare(live, CAMERA)) if fault.kind not in NOT_THE_CAMERAS]
        assert not faults
        assert all(live.topics[topic.name].messages for topic in CAMERA)
    finally:
        # Killed outright, it would leave shared memory behind.
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
