"""The actor in ONNX Runtime beside torch: the same observations to both, in turn, one thread each.

    python -m benchmarks.onnx_runtime                        # shipped policies, 600 frames each
    python -m benchmarks.onnx_runtime push --frames 2000 --json onnx_runtime.json

A frame goes to both, and which comes first alternates, so that what else the machine does falls on both alike. Times
are of ``Policy.act`` on one observation: what the policy node waits for, without making the observation and without
inverse kinematics. Observations are the bundle's golden ones, over and over.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from fetch_sim2real.paths import find_policy, policy_names
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.perception.preprocess import Image
from fetch_sim2real.policy.actor_runtime import ACTOR_RUNTIMES
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.runtime import policy_of

_WARM_UP: Final = 30


def measure(policy: str, frames: int) -> dict[str, Any]:
    """Return the times [ms] of both runtimes, frame by frame, and how busy the machine was."""
    torch.set_num_threads(1)
    bundle = load_bundle(find_policy(policy))
    golden = bundle.golden
    seen = [
        Observation(Image(rgb, depth_mm), vector)
        for rgb, depth_mm, vector in zip(golden.rgb, golden.depth_mm, golden.vector, strict=True)
    ]
    policies = {runtime: policy_of(bundle, runtime) for runtime in ACTOR_RUNTIMES}
    times_ms: dict[str, list[float]] = {runtime: [] for runtime in policies}
    for number in range(_WARM_UP + frames):
        observation = [seen[number % len(seen)]]
        for runtime in list(policies)[:: 1 if number % 2 == 0 else -1]:
            started = time.perf_counter()
            policies[runtime].act(observation)
            taken_ms = (time.perf_counter() - started) * 1e3
            if number >= _WARM_UP:
                times_ms[runtime].append(taken_ms)
    return {"policy": policy, "frames": frames, "load": os.getloadavg()[0], "cores": os.cpu_count(), "ms": times_ms}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", nargs="*", default=list(policy_names()), help="names or folders of bundles")
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args(arguments)
    results = [measure(policy, options.frames) for policy in options.policies]
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for result in results:
        torch_ms, onnx_ms = (np.array(result["ms"][runtime]) for runtime in ACTOR_RUNTIMES)
        print(
            f"{result['policy']}, {result['frames']} frames, load {result['load']:.1f} on {result['cores']} cores: "
            f"torch p50 {np.median(torch_ms):.2f} ms, p99 {np.percentile(torch_ms, 99):.2f}; "
            f"onnx p50 {np.median(onnx_ms):.2f} ms, p99 {np.percentile(onnx_ms, 99):.2f}; "
            f"median of onnx / torch {np.median(onnx_ms / torch_ms):.2f}"
        )


if __name__ == "__main__":
    main()
