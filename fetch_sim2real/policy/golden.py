"""Golden sequences: recorded observations and the actions that training computed for them.

A loader that computes other actions from them would run another policy than the one that was trained.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.errors import BundleError
from fetch_sim2real.perception.observe import ACTION_SIZE, Observation, ObservationSpec
from fetch_sim2real.policy.manifest import GOLDEN_FILE
from fetch_sim2real.policy.step_actor import StepActor

# Rounding differs between processors by about 1e-6; anything above this is another policy.
TOLERANCE: Final = 1e-5
MAX_STEPS: Final = 512
_MAX_BYTES: Final = 256 * 2**20


@dataclass(frozen=True)
class Golden:
    """T steps: rgb (T, S, S, 3) uint8, depth_mm (T, S, S) uint16, vector (T, n) float32 normalized, reset (T,) bool
    (true where an episode starts), action (T, 4) float32, state (T, s) float32: the recurrent state after each step.

    Actors without memory have states of no numbers, which are not stored.
    """

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    vector: NDArray[np.float32]
    reset: NDArray[np.bool_]
    action: NDArray[np.float32]
    state: NDArray[np.float32]


def run_golden(actor: StepActor, golden: Golden) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return actions (T, 4) and states (T, s) that ``actor`` computes, one step at a time as on the robot."""
    actions = np.zeros((len(golden.reset), ACTION_SIZE), np.float32)
    states = np.zeros((len(golden.reset), actor.state_size), np.float32)
    state = initial = np.zeros((1, actor.state_size), np.float32)
    for step, reset in enumerate(golden.reset):
        state = initial if reset else state
        one = slice(step, step + 1)
        action, state = actor.step(golden.rgb[one], golden.depth_mm[one], golden.vector[one], state)
        actions[step], states[step] = action[0], state[0]
    return actions, states


def record_golden(actor: StepActor, observations: Sequence[Observation], reset: Sequence[bool]) -> Golden:
    """Return golden sequences from ``observations`` of one or more episodes, with ``actor``'s actions and states.

    ``reset`` is true where an episode starts: there the recurrent state is the initial one.
    """
    inputs = Golden(
        rgb=np.stack([observation.image.rgb for observation in observations]),
        depth_mm=np.stack([observation.image.depth_mm for observation in observations]),
        vector=np.stack([observation.vector for observation in observations]).astype(np.float32),
        reset=np.array(reset, dtype=np.bool_),
        action=np.zeros((len(observations), ACTION_SIZE), np.float32),
        state=np.zeros((len(observations), actor.state_size), np.float32),
    )
    action, state = run_golden(actor, inputs)
    return replace(inputs, action=action, state=state)


def golden_to_bytes(golden: Golden) -> bytes:
    """Return an npz file.

    The same golden gives the same bytes: numpy's own writer would put the time of day into them.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in _stored(golden.state.shape[1]):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(getattr(golden, name)), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy")
            archive.writestr(info, member.getvalue(), zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _stored(state_size: int) -> tuple[str, ...]:
    """Names of the arrays in the file."""
    return tuple(field.name for field in fields(Golden) if field.name != "state" or state_size)


def golden_from_bytes(data: bytes, observation: ObservationSpec, state_size: int) -> Golden:
    """Read and check golden sequences of an actor with ``state_size`` numbers of recurrent state.

    BundleError names the array that is wrong.
    """
    names = _stored(state_size)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise BundleError(GOLDEN_FILE, f"not an npz file ({error}). Export the bundle again") from error
    expected = sorted(f"{name}.npy" for name in names)
    got = sorted(member.filename for member in members)
    if got != expected:
        raise BundleError(GOLDEN_FILE, f"holds {got}, expected exactly {expected}")
    size = sum(member.file_size for member in members)
    if size > _MAX_BYTES:
        raise BundleError(GOLDEN_FILE, f"unpacks to {size} bytes, expected at most {_MAX_BYTES}")
    arrays = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        for name in names:
            try:
                arrays[name] = np.ascontiguousarray(archive[name])
            except (ValueError, EOFError, OSError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
                raise BundleError(
                    f"{GOLDEN_FILE}/{name}", f"not a plain array ({error}). Export the bundle again"
                ) from error
    golden = Golden(**({"state": np.zeros((arrays["reset"].size, 0), np.float32)} | arrays))
    require_sound(golden, observation, state_size)
    return golden


def require_sound(golden: Golden, observation: ObservationSpec, state_size: int) -> None:
    """Raise BundleError, naming the array, unless shapes and types are those of ``observation`` and all is finite."""
    side, steps = observation.image.size, len(golden.reset) if golden.reset.ndim == 1 else 0
    if not 1 <= steps <= MAX_STEPS:
        raise BundleError(
            f"{GOLDEN_FILE}/reset", f"shape is {golden.reset.shape}, expected (T,) with T in 1..{MAX_STEPS}"
        )
    expected: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
        "rgb": ((steps, side, side, 3), np.uint8),
        "depth_mm": ((steps, side, side), np.uint16),
        "vector": ((steps, observation.vector_size), np.float32),
        "reset": ((steps,), np.bool_),
        "action": ((steps, ACTION_SIZE), np.float32),
        "state": ((steps, state_size), np.float32),
    }
    for name, (shape, dtype) in expected.items():
        array = getattr(golden, name)
        if array.shape != shape or array.dtype != dtype:
            raise BundleError(
                f"{GOLDEN_FILE}/{name}",
                f"is {array.shape} {array.dtype}, expected {shape} {np.dtype(dtype)}",
            )
        if not np.all(np.isfinite(array)):
            raise BundleError(f"{GOLDEN_FILE}/{name}", "holds NaN or infinity")
    if not golden.reset[0]:
        raise BundleError(f"{GOLDEN_FILE}/reset", "the first step is not a reset: its recurrent state is unknown")


def verify_golden(actor: StepActor, golden: Golden, runs: str = "the actor") -> float:
    """Return by how much ``actor``'s actions and states are off the golden ones at most.

    BundleError if that is more than TOLERANCE; ``runs`` says in it who computed them.
    """
    most = 0.0
    for name, computed in zip(("action", "state"), run_golden(actor, golden), strict=True):
        off = np.abs(computed - getattr(golden, name))
        worst = float(off.max(initial=0.0))
        most = max(most, worst)
        # Written so that a NaN fails too.
        if not worst <= TOLERANCE:
            step = int(np.argmax(np.where(np.isnan(off), np.inf, off).max(axis=1)))
            raise BundleError(
                f"{GOLDEN_FILE}/{name}",
                f"{runs} does not reproduce the recorded {name}s: off by {worst:.2g} at step {step}, tolerance "
                f"{TOLERANCE:g}. The weights, the golden file or this code differ from those that trained it",
            )
    return most
