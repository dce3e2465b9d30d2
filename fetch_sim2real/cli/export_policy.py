"""``fetch-sim2real export-policy``: a bundle's actor for other runtimes."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import typer

from fetch_sim2real.common.outputs import require_file_place, require_suffix, write_bytes
from fetch_sim2real.paths import find_policy

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

SUFFIX: Final = ".onnx"
_HELP: Final = """Write the actor of a policy bundle as one file that other runtimes read.

\b
onnx: inputs rgb uint8 (B, S, S, 3), depth_mm uint16 (B, S, S), vector float32 (B, n) and, with memory, state
      float32 (B, s); outputs action float32 (B, 4) and, with memory, next_state. Normalization is inside; the
      bundle's manifest is in the file's metadata. Needs the extra 'onnx'.

The file is written only if ONNX Runtime computes the bundle's golden actions from it.

\b
Example:
  fetch-sim2real export-policy push --to onnx --output push.onnx
"""


class Format(str, Enum):
    """What a bundle can be exported to."""

    ONNX = "onnx"


@app.command(help=_HELP)
def main(
    policy: Annotated[str, typer.Argument(help="Name of a shipped policy bundle, or the folder of one.")],
    output: Annotated[Path, typer.Option(help="File to write; one that is there is replaced.")],
    to: Annotated[Format, typer.Option(help="Format.")] = Format.ONNX,
) -> None:
    require_suffix(output, (SUFFIX,), "--output")
    require_file_place(output, "--output")
    from fetch_sim2real.policy.bundle import load_bundle
    from fetch_sim2real.policy.onnx_export import export_actor

    bundle = load_bundle(find_policy(policy))
    exported = export_actor(bundle, output.name)
    write_bytes(exported.data, output)
    typer.echo(
        f"{output}: {bundle.manifest.task}, bundle {bundle.sha256[:12]}, {len(exported.data) / 2**20:.2f} MiB; "
        f"{len(bundle.golden.reset)} golden actions reproduced in ONNX Runtime, off by {exported.worst:.1g} at most"
    )
