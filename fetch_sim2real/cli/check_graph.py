"""``fetch-sim2real check-graph``: the contract of the graph, and whether a running one keeps it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fetch_sim2real import graph
from fetch_sim2real.cli.entry import declared_option, make_console
from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.errors import GraphError
from fetch_sim2real.graph import Qos, Topic
from fetch_sim2real.ros.namespaces import checked_namespace, place_of
from fetch_sim2real.stack.graph_check import Finding, LiveGraph, compare, contract_of, violations
from fetch_sim2real.stack.options import NAMESPACE

# Plain help: the examples keep their lines, and brackets mean themselves.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

DEFAULT_DURATION_S: Final = 2.0
_FILE_WIDTH: Final = 140  # characters in a line where there is no terminal to say
_HELP: Final = """Print the topics, types, QoS, frames and rates of the stack and compare a running graph with them.

Reports missing topics and subscribers, wrong types, QoS that does not connect, wrong frames, wrong rates, and a second
publisher of commands. The same check runs against a robot and against the simulation. The exit status is 1 if there
is a violation.

\b
Examples:
  fetch-sim2real check-graph                    compare with what runs in this ROS_DOMAIN_ID
  fetch-sim2real check-graph --contract-only    only print the contract; needs no ROS
  fetch-sim2real check-graph --namespace left   a graph that runs with namespace:=left
  fetch-sim2real check-graph --json             for a program
"""


@app.command(help=_HELP)
def check_graph(
    contract_only: Annotated[
        bool, typer.Option("--contract-only", help="Print the contract and look at no graph.")
    ] = False,
    duration: Annotated[
        float, typer.Option(min=0.5, max=600.0, help="How long to listen for rates and frames [s].")
    ] = (DEFAULT_DURATION_S),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    namespace: Annotated[str, declared_option(NAMESPACE)] = NAMESPACE.default,
) -> None:
    console = make_console(_FILE_WIDTH)
    live = None if contract_only else _observe(duration, as_json, checked_namespace(namespace))
    findings = () if live is None else compare(live)
    faults = violations(findings)
    if as_json:
        typer.echo(json.dumps(_as_json(live, findings), indent=2))
    else:
        console.print(contract_table(live))
        console.print(
            "\nDim: in simulation only. With Fast DDS, both ends of the images need this in their environment:"
        )
        variable = f'export {graph.FASTDDS_TRANSPORT_VARIABLE}="{graph.FASTDDS_TRANSPORT}"'
        console.print(Text(f"  {variable}", "cyan"), soft_wrap=True)
        _print_findings(live, findings, console)
    if faults:
        raise typer.Exit(1)


def _observe(duration_s: float, quiet: bool, namespace: str) -> LiveGraph:
    # Imported here: the contract can be printed on a machine without ROS.
    from fetch_sim2real.ros.live_graph import observe

    status = Console(stderr=True, quiet=quiet).status(f"looking at the graph for {duration_s:g} s")
    try:
        with StopRequest() as stop, status:
            observed = observe(graph.CONTRACT, duration_s, stop.check, namespace)
    except StopRequestedError as stopped:
        raise typer.Exit(128 + stopped.signal_number) from None
    # What all robots of a network share says nothing of this one.
    own = [topic for name, topic in observed.live.topics.items() if name not in graph.GLOBAL_NAMES]
    if not any(topic.publishers or topic.subscribers for topic in own):
        raise GraphError(
            f"no node of the stack is running in {place_of(namespace)}: start it (`fetch-sim2real sim`, or the nodes "
            "on the robot), or set ROS_DOMAIN_ID and --namespace as they have them; --contract-only prints the contract"
            f"{observed.elsewhere}"
        )
    return observed.live


def contract_table(live: LiveGraph | None) -> Table:
    """Return the contract, two lines for a topic, with what was found of it where there is a graph."""
    table = Table(title="Contract of the graph", title_justify="left", title_style="bold", box=None, pad_edge=False)
    headings = ["topic\n  type", "from > to\nQoS", "rate\nframe", *(["found"] if live is not None else [])]
    for index, heading in enumerate(headings):
        # Names of topics stay whole, so that they can be copied.
        table.add_column(heading, overflow="fold", header_style="bold underline", no_wrap=index == 0)
    for topic in graph.CONTRACT if live is None else contract_of(live):
        cells = [
            f"{topic.name}\n  {topic.type.replace('/msg/', '/')}",
            f"{topic.publisher} > {', '.join(topic.subscribers) or '-'}\n"
            f"{_qos_text(topic.publish)} > {_qos_text(topic.subscribe)}",
            f"{topic.rate_text}\n{topic.frame_id or ''}",
        ]
        if live is not None:
            cells.append(_found_text(topic, live))
        table.add_row(*(Text(cell) for cell in cells), style="dim" if topic.simulation_only else None)
    return table


def _qos_text(qos: Qos) -> str:
    kind = "reliable" if qos.reliability == "reliable" else "best effort"
    return f"{kind} {qos.depth}" + (" latched" if qos.durability == "transient_local" else "")


def _found_text(topic: Topic, live: LiveGraph) -> str:
    found = live.topics[topic.name]
    ends = f"{len(found.publishers)} pub, {len(found.subscribers)} sub"
    return ends if found.rate_hz is None else f"{ends}, {found.rate_hz:.1f} Hz"


def _print_findings(live: LiveGraph | None, findings: Sequence[Finding], console: Console) -> None:
    if live is None:
        return
    console.print(f"\nnodes: {', '.join(live.nodes)}" + (" (simulated)" if live.simulated else ""), soft_wrap=True)
    for finding in sorted(findings, key=lambda f: f.severity == "note"):
        style = "bold red" if finding.severity == "violation" else "yellow"
        line = Text.assemble((f"{finding.severity}: ", style), (f"{finding.topic}: ", "bold"), finding.message)
        console.print(line, soft_wrap=True)
    if not violations(findings):
        console.print("The graph keeps the contract.", style="bold green")


def _as_json(live: LiveGraph | None, findings: Sequence[Finding]) -> dict[str, Any]:
    content: dict[str, Any] = {"contract": [dataclasses.asdict(topic) for topic in graph.CONTRACT]}
    if live is not None:
        content["nodes"] = list(live.nodes)
        content["simulated"] = live.simulated
        content["live"] = {
            name: {**dataclasses.asdict(topic), "frame_ids": sorted(topic.frame_ids)}
            for name, topic in live.topics.items()
        }
        content["findings"] = [dataclasses.asdict(finding) for finding in findings]
        content["ok"] = not violations(findings)
    return content
