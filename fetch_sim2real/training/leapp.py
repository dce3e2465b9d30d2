"""What of a LEAPP bundle (Isaac Lab's and GR00T's export, which Isaac ROS Deploy runs) has a place here.

The format, as ``leapp`` 0.7.2 writes it: a YAML file with ``models``, ``pipeline`` and ``system information``. Each
model has ``inputs`` and ``outputs``, lists of tensors with name, shape, dtype and perhaps a ``kind`` and
``element_names``, and ``parameters`` with ``model_path`` and ``backend``. No kind says picture, and none says a
displacement of the gripper.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from fetch_sim2real.common.validation import shortened
from fetch_sim2real.errors import BundleError

# Kinds of numbers that the vector has too, and what they are called in it.
PLACES: Final[dict[str, str]] = {
    "state/body/position": "grip_x, grip_y, grip_z, if the body is the gripper and its frame base_link",
    "command/body/pose": "goal_x, goal_y, goal_z, if it is the goal in the task's frame; an orientation has no place",
}
_KEYS: Final = ("models", "pipeline", "system information")


@dataclass(frozen=True)
class LeappTensor:
    """One tensor of a model; ``kind`` is empty where the export did not say.

    Kinds are ``state/...`` (joints, bodies, wrench) and ``command/...`` of inputs, ``target/...`` (joints, bodies),
    ``kp`` and ``kd`` of outputs. Whose joint or body it is stands in ``element_names``, in the robot's own words.
    """

    model: str
    name: str
    is_output: bool
    kind: str
    shape: str

    @property
    def place(self) -> str:
        """What it could be here; empty if nothing."""
        return "" if self.is_output else PLACES.get(self.kind, "")

    def text(self) -> str:
        """Return what it is, for people."""
        way = "output" if self.is_output else "input"
        return f"{way} {self.model}/{self.name} {self.shape} ({self.kind or 'no kind'})"


def leapp_tensors(file: Path) -> tuple[list[LeappTensor], list[str]]:
    """Return the tensors of a LEAPP file, and the ONNX files of its models. BundleError if it is no such file."""
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BundleError(str(file), f"cannot be read ({shortened(error)}): expected a LEAPP bundle's YAML") from None
    if not isinstance(content, dict) or any(key not in content for key in _KEYS):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise BundleError(
            str(file), f"holds {shortened(found)}, expected LEAPP's {', '.join(_KEYS)}. A mapping goes with "
            "--mapping, beside the .onnx file"
        )  # fmt: skip
    tensors, models = [], []
    try:
        for model, parts in content["models"].items():
            models.append(f"{parts['parameters']['model_path']} ({parts['parameters']['backend']})")
            for key in ("inputs", "outputs"):
                tensors += [
                    LeappTensor(model, each["name"], key == "outputs", str(each.get("kind") or ""), str(each["shape"]))
                    for each in parts[key]
                ]
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{file}/models", f"is not as LEAPP 0.7 writes it ({shortened(repr(error))}): export it again"
        ) from None
    return tensors, models


def refuse_leapp(file: Path) -> BundleError:
    """Return why a LEAPP bundle is not imported by itself: every tensor that has no place, and what to do."""
    tensors, models = leapp_tensors(file)
    placed = [f"{each.text()} may be {each.place}" for each in tensors if each.place]
    without = [each.text() for each in tensors if not each.place]
    return BundleError(
        str(file), f"nothing here corresponds to {'; '.join(without) or 'none of its tensors'}. "
        f"{'; '.join(placed) + '. ' if placed else ''}Expected an output that is a displacement of the gripper, which "
        f"LEAPP has no kind for. If the network has one, state by hand what every tensor is, in a --mapping beside its "
        f"ONNX file: {', '.join(models)}"
    )  # fmt: skip
