"""The names of what may compute an actor (``policy.runtime``). Naming them must not need torch."""

from __future__ import annotations

from typing import Final, Literal, get_args

ActorRuntime = Literal["torch", "onnx"]
ACTOR_RUNTIMES: Final[tuple[ActorRuntime, ...]] = get_args(ActorRuntime)
TORCH: Final[ActorRuntime] = "torch"
