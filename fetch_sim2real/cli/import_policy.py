"""``fetch-sim2real import-policy``: a policy trained with Stable-Baselines3, or an ONNX network, becomes a bundle."""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from torch import nn

from fetch_sim2real.common.outputs import require_folder_place, require_own_place
from fetch_sim2real.envs.environment import FetchEnvironment
from fetch_sim2real.errors import BundleError, SetupError
from fetch_sim2real.policy.network import Squash
from fetch_sim2real.training.imported import MODE, import_bundle, require_mode
from fetch_sim2real.training.imported_onnx import import_onnx, load_mapping
from fetch_sim2real.training.leapp import refuse_leapp

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

ONNX_SUFFIX: Final = ".onnx"
LEAPP_SUFFIXES: Final = (".yaml", ".yml")
# Where each algorithm is, and how its output is brought into [-1, 1].
ALGORITHMS: Final[dict[str, tuple[str, Squash]]] = {
    "SAC": ("stable_baselines3", "tanh"),
    "TD3": ("stable_baselines3", "tanh"),
    "DDPG": ("stable_baselines3", "tanh"),
    "TQC": ("sb3_contrib", "tanh"),
    "PPO": ("stable_baselines3", "clip"),
    "A2C": ("stable_baselines3", "clip"),
}
_HELP: Final = """Make a policy bundle from a policy trained with Stable-Baselines3, or from an ONNX network of others.

From Stable-Baselines3: the policy must have been trained in this project's environments with
observation_mode="robot". The bundle holds weights and numbers only, and is written only if it computes the library's
own actions.

A .zip of Stable-Baselines3 holds pickled code, which runs when it is read: import only what you trained yourself.

From ONNX (.onnx, pictures and memory included): --mapping says what every tensor is; docs/bring_your_own.md. Needs the
extra 'onnx'. TorchScript and .pt2 hold code: convert them to ONNX where they come from.

\b
Example:
  fetch-sim2real import-policy my_reach.zip --algorithm SAC --output runs/my_reach
  fetch-sim2real sim --policy runs/my_reach --world randomized
  fetch-sim2real import-policy net.onnx --mapping net.yaml --reference net.npz --output runs/net
"""
# What is archived code rather than data, and how it becomes data on the machine that it comes from.
_CONVERT: Final = {
    ".pt": "import torch; net = torch.jit.load('{file}', map_location='cpu').eval(); torch.onnx.export(net, "
    "(torch.zeros(1, N),), '{stem}.onnx', dynamo=False, input_names=['obs'], output_names=['action'])",
    ".pt2": "import torch; torch.onnx.export(torch.export.load('{file}'), f='{stem}.onnx', dynamo=True, "
    "external_data=False)",
}
_CODE: Final = {".pt": ".pt", ".pth": ".pt", ".jit": ".pt", ".ts": ".pt", ".pt2": ".pt2"}


@app.command(help=_HELP)
def main(
    model: Annotated[Path, typer.Argument(help="The file that model.save() wrote, or an .onnx file.")],
    output: Annotated[Path, typer.Option(help="Folder of the bundle; one that is there is replaced.")],
    algorithm: Annotated[str, typer.Option(help=f"Its class: {', '.join(ALGORITHMS)}.")] = "SAC",
    task: Annotated[str, typer.Option(help="Task that it was trained for.")] = "reach",
    world: Annotated[str, typer.Option(help="World that it was trained in: a name, or a YAML file.")] = "randomized",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training, for the record.")] = 0,
    mapping: Annotated[Path | None, typer.Option(help="ONNX: the YAML file that says what its tensors are.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="ONNX: .npz of observations and the actions that the network's own code took.")
    ] = None,
    overwrite_shipped: Annotated[
        bool, typer.Option("--overwrite-shipped", help="Let --output be among the policies that come with the project.")
    ] = False,
) -> None:
    if not model.is_file():
        raise SetupError(f"there is no file {model}: name the one that model.save() wrote, or an ONNX file")
    if model.suffix.lower() in LEAPP_SUFFIXES:
        raise refuse_leapp(model)
    if kind := _CODE.get(model.suffix.lower()):
        script = _CONVERT[kind].format(file=model.name, stem=model.stem)
        raise SetupError(
            f"{model} is TorchScript, torch.export or a checkpoint: code, or pickled objects, which a bundle does not "
            f"hold and this command does not read; expected ONNX. On a machine that trusts it: python -c \"{script}\""
        )
    if algorithm not in ALGORITHMS:
        raise SetupError(f"algorithm is '{algorithm}', available: {', '.join(ALGORITHMS)}")
    if not overwrite_shipped:
        require_own_place(output, "--output", "--overwrite-shipped")
    require_folder_place(output, "--output")
    if model.suffix.lower() == ONNX_SUFFIX:
        if mapping is None:
            raise SetupError(
                f"{model} comes without --mapping, expected the YAML file that says what its tensors are: "
                "docs/bring_your_own.md has one"
            )
        names = f"import-policy {model.name} --mapping {mapping.name}"
        found = import_onnx(output, model, load_mapping(mapping), names, reference)
        whose = "the reference's actions reproduced" if reference else "no reference: its own actions recorded"
        typer.echo(f"{output}: {found.manifest.task}, sha256 {found.sha256[:12]}, {whose}")
        return
    if mapping is not None or reference is not None:
        raise SetupError(f"--mapping and --reference are for {ONNX_SUFFIX} files, {model} is none: leave them out")
    trained = load_trained(model, algorithm, task, world)
    command = f"import-policy {model.name} --algorithm {algorithm} --task {task} --world {world} --seed {seed}"
    bundle = import_trained(output, trained, task, world, command, seed)
    typer.echo(f"{output}: {task}, sha256 {bundle.sha256[:12]}, {algorithm}'s actions reproduced")


def load_trained(file: Path, algorithm: str, task: str, world: str) -> Any:
    """Return the object that the library reads from ``file``; BundleError if it was trained in another environment."""
    learner = getattr(importlib.import_module(ALGORITHMS[algorithm][0]), algorithm)
    # A hindsight buffer is only made with an environment; none is used here.
    env = FetchEnvironment(task, world, MODE)
    try:
        return learner.load(file, env=env, device="cpu")
    except ValueError as error:
        raise BundleError("observation", f"{file} is not from {task}, observation_mode='{MODE}': {error}") from error
    finally:
        env.close()


def import_trained(output: Path, model: Any, task: str, world: str, command: str, seed: int) -> Any:
    """Write and return the bundle of ``model``, an object of one of ``ALGORITHMS``.

    BundleError says what does not fit.
    """
    name = type(model).__name__
    if name not in ALGORITHMS:
        raise BundleError("actor", f"is trained with {name}, known: {', '.join(ALGORITHMS)}")
    require_mode(model.observation_space, task, world)
    low, high = model.action_space.low, model.action_space.high
    if not (np.array_equal(low, -np.ones(4)) and np.array_equal(high, np.ones(4))):
        raise BundleError("action", f"space is {model.action_space}, expected that of the environment: [-1, 1] (4,)")
    layers, extractor = _parts(model.policy)
    # In double precision, so that what is folded into the first layer is as exact as its weights.
    extractor = copy.deepcopy(extractor).double().eval()

    def features(seen: dict[str, torch.Tensor]) -> torch.Tensor:
        result: torch.Tensor = extractor(seen)
        return result

    def predict(seen: Any) -> Any:
        return model.predict(seen, deterministic=True)[0]

    squash = ALGORITHMS[name][1]
    provenance = (command, seed, int(model.num_timesteps))
    return import_bundle(output, layers, squash, features, predict, task, world, provenance)


def _parts(policy: Any) -> tuple[list[nn.Module], nn.Module]:
    """The layers from features to action, without the final squashing, and the extractor of the features."""
    actor = getattr(policy, "actor", None)
    if actor is None:  # on-policy: one network for actor and critic
        return [*policy.mlp_extractor.policy_net, policy.action_net], policy.pi_features_extractor
    if hasattr(actor, "latent_pi"):
        return [*actor.latent_pi, actor.mu], actor.features_extractor
    *layers, last = actor.mu
    if not isinstance(last, nn.Tanh):
        raise BundleError("actor.squash", f"the last layer is {type(last).__name__}, expected Tanh")
    return layers, actor.features_extractor
