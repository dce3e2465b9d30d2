"""``fetch-sim2real rerun``: would this policy have done the same? A bag's frames through an actor, without ROS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, cast

import torch
import typer

from fetch_sim2real.bags.reading import open_bag, renames_of
from fetch_sim2real.bags.run import read_run
from fetch_sim2real.cli.entry import declared_option
from fetch_sim2real.common.outputs import Attempts
from fetch_sim2real.common.picture_file import require_picture_place, write_picture
from fetch_sim2real.errors import SetupError
from fetch_sim2real.evaluation.rerun import rerun
from fetch_sim2real.paths import find_policy
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.look_rate import LookRate
from fetch_sim2real.reports.rerun_comparison import comparison_picture, summary
from fetch_sim2real.stack.options import LOOK, POLICY

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_PICTURE: Final = Path("rerun.png")


@app.command()
def main(
    bag: Annotated[Path, typer.Argument(help="Bag: a folder, the folder of a run, or one .mcap or .db3 file.")],
    policy: Annotated[str, declared_option(POLICY)],
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Largest difference of a command that is no difference [rad, m, rad/s].")
    ] = 0.0,
    look: Annotated[str, declared_option(LOOK, note="As the policy did it.")] = LOOK.default,
    rename: Annotated[
        list[str] | None,
        typer.Option(help="Topic that has another name in the bag: /joint_states:=/fetch/joint_states."),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Picture to write, .png.", show_default=str(_PICTURE))] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Give a bag's frames to a policy once more, and compare its commands with those that were recorded.

    Exit status 1 if commands differ by more than the tolerance, or none could be compared.
    """
    if fault := LOOK.fault(look):
        raise SetupError(f"look is {fault}")
    if picture is not None:
        require_picture_place(picture, "--picture")
    # As the policy's node: more threads round differently.
    torch.set_num_threads(1)
    bundle = load_bundle(find_policy(policy))
    recorded = open_bag(bag, renames_of(rename or []))
    run = read_run(recorded)
    rerun_result = rerun(recorded, run, bundle, cast(LookRate, look))
    result = summary(recorded, run, bundle, rerun_result, tolerance)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        _tell(result)
    place, attempts = picture or _PICTURE, Attempts(lambda text: typer.echo(text, err=True))

    def draw() -> None:
        write_picture(comparison_picture(f"{bag} by {policy}", rerun_result, bundle.manifest.torso_height_m), place)
        if not as_json:
            typer.echo(f"picture    {place}")

    attempts.make(f"the picture {place}", draw, asked=picture is not None)
    if result["commands"]["differing"] or not result["commands"]["compared"] or attempts.failed:
        raise typer.Exit(1)


def _tell(result: dict[str, Any]) -> None:
    commands, times, latency = result["commands"], result["time"], result["latency_ms"]
    same = {None: "the bag does not say which", True: "the same", False: "another one"}[result["bundle"]["same"]]
    typer.echo(f"bundle     {result['bundle']['sha256'][:12]}; the run's: {same}")
    typer.echo(
        f"commands   {commands['compared']} compared, {commands['bit_exact']} bit-exact, {commands['differing']} "
        f"differ by more than {commands['tolerance']:g}; largest difference {commands['largest_difference']:.3g}"
    )
    if commands["memory_unknown"]:
        typer.echo(
            f"           {commands['memory_unknown']} more come after a lost frame, so the actor remembers other "
            f"actions than then; they differ by up to {commands['memory_unknown_largest_difference']:.3g}, uncounted"
        )
    for reason, count in result["left_out"].items():
        typer.echo(f"left out   {count}: {reason}")
    then, now = latency["then"], latency["inference_now"]
    if then and now:
        typer.echo(f"latency    then p50 {then['p50']:.1f}, p99 {then['p99']:.1f} ms ({latency['then_between']})")
        typer.echo(f"           now, inference p50 {now['p50']:.1f}, p99 {now['p99']:.1f} ms")
    for text in result["losses"]["reading"]:
        typer.echo(f"lost       {text}")
    for name, count in result["losses"]["malformed"].items():
        typer.echo(f"lost       {count} malformed messages on {name}")
    for name, topic in result["losses"]["topics"].items():
        if topic["missing"]:
            typer.echo(f"lost       {name}: {topic['missing']} of {topic['messages'] + topic['missing']} missing")
    for reason, count in result["refusals"].items():
        typer.echo(f"then       {count} {reason}")
    typer.echo(
        f"time       {times['replay_s']:.1f} s ({times['replay_cpu_s']:.1f} s of a processor) for "
        f"{times['frames_at_30_hz_s']:.1f} s of frames at 30 Hz, recorded in {times['recorded_s']:.1f} s"
    )
