"""A run as one HTML page, from its bag: what happened when, how near to its limits, how late, and what was seen."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any, Final

import cv2
import numpy as np

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.bags.reading import RecordedBag, decoded
from fetch_sim2real.bags.run import RecordedRun
from fetch_sim2real.bags.times import TimeAxis, latency_s, recorded_s, spread_ms
from fetch_sim2real.common.raw_header import stamp_ns_in
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.messages.motion import COMMAND, HOLD, LIMITED, is_refused, reason_of
from fetch_sim2real.reports.charts import Spread, spread_rows
from fetch_sim2real.reports.film_strip import Picture, depth_picture
from fetch_sim2real.reports.page import page_html
from fetch_sim2real.reports.time_charts import TIMELINE_CSS, line, timeline

_PICTURES: Final = 8
_PICTURE_PX: Final = 260
# What became of a frame, beside the driver's outcomes.
_REFUSED: Final = "refused"
_NONE: Final = "none"
_KINDS: Final = {
    COMMAND: "followed as it was",
    LIMITED: "slowed down by the safety filter",
    HOLD: "the policy held",
    _REFUSED: "refused by the driver",
    _NONE: "no answer in the bag",
}


def run_report_html(bag: RecordedBag, run: RecordedRun) -> str:
    """Return the page. Raises ``SetupError`` if the bag's pictures cannot be read."""
    stamps_ns = np.array(sorted(run.frames_ns), dtype=np.int64)
    axis = TimeAxis(stamps_ns)
    sections = [
        _head(bag, run),
        _timeline(run, stamps_ns, axis),
        _pictures(bag, stamps_ns, axis),
        _refusals(run, axis),
        _latency(run),
        _joints(run, axis),
        _losses(run),
        _diagnostics(run),
    ]
    return page_html(f"{bag.path.name}: a run", sections, TIMELINE_CSS)


def _head(bag: RecordedBag, run: RecordedRun) -> str:
    goals = ", ".join(
        f"{np.round(goal.position_m, 3).tolist()} m in {escape(goal.frame_id)}" for _, goal in run.goals[:12]
    )
    bundles = ", ".join(sha[:12] for sha in sorted(run.bundles)) or "not said"
    more = f" and {len(run.goals) - 12} more" if len(run.goals) > 12 else ""
    return (
        f"<h1>Run: {escape(str(bag.path))}</h1><p>{len(run.frames_ns)} frames and {len(run.answers)} answers in "
        f"{recorded_s(run):.1f} s. Goals: {goals or 'none'}{more}.</p>"
        f'<p class="faint">Policy bundle {bundles}. Everything here is what the bag says; times are since the first '
        "frame, with pauses cut to a second.</p>"
    )


def _timeline(run: RecordedRun, stamps_ns: Any, axis: TimeAxis) -> str:
    kinds = _kinds(run)
    listed = [kinds.get(int(stamp_ns), "none") for stamp_ns in stamps_ns]
    key = "".join(
        f'<span class="key" style="background:{_COLORS[kind]}"></span>{escape(meaning)}: {listed.count(kind)}'
        for kind, meaning in _KINDS.items()
    )
    return f"<h2>What became of each frame</h2>{timeline(axis.at(stamps_ns), listed, axis.end_s)}<p>{key}</p>"


_COLORS: Final = {
    COMMAND: "var(--bar)", LIMITED: "#c9a227", HOLD: "var(--track)", _REFUSED: "var(--bad)", _NONE: "#8250df"
}  # fmt: skip


def _kinds(run: RecordedRun) -> dict[int, str]:
    """What became of the frame of each stamp: the driver's word, or the policy's where the driver said nothing."""
    kinds = {answer.stamp_ns: HOLD if answer.command.hold else COMMAND for answer in run.answers}
    for reply in run.replies:
        outcome = reply.report.outcome
        if not reply.report.is_activation:
            known = outcome if outcome in (HOLD, LIMITED) else COMMAND
            kinds[reply.stamp_ns] = _REFUSED if is_refused(outcome) else known
    return kinds


def _pictures(bag: RecordedBag, stamps_ns: Any, axis: TimeAxis) -> str:
    if not len(stamps_ns):
        return ""
    places = np.linspace(0, len(stamps_ns) - 1, min(_PICTURES, len(stamps_ns))).round().astype(int)
    wanted = {int(stamps_ns[place]): {} for place in places}  # type: dict[int, dict[str, Picture]]
    for raw in bag.messages((graph.COLOR.name, graph.DEPTH.name)):
        parts = wanted.get(stamp_ns_in(raw.data) or 0)
        if parts is None:
            continue
        try:
            message = decoded(raw)
            is_color = raw.topic == graph.COLOR.name
            parts[raw.topic] = np.asarray(decode_color(message)) if is_color else depth_picture(decode_depth(message))
        except FetchSim2RealError:
            continue
    figures = [
        "<figure>"
        + "".join(_image(parts[name]) for name in (graph.COLOR.name, graph.DEPTH.name) if name in parts)
        + f"<figcaption>{axis.at(np.array([stamp_ns]))[0]:.2f} s</figcaption></figure>"
        for stamp_ns, parts in wanted.items()
        if parts
    ]
    return (
        f'<h2>What the camera saw</h2><div class="row">{"".join(figures)}</div>'
        '<p class="faint">Depth below colour: near is warm, far is cold, black is without depth.</p>'
    )


def _image(picture: Picture) -> str:
    height = round(picture.shape[0] * _PICTURE_PX / picture.shape[1])
    small = cv2.resize(np.ascontiguousarray(picture[..., ::-1]), (_PICTURE_PX, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 75])
    return (
        f'<img alt="" width="{_PICTURE_PX}" height="{height}" style="display:block" '
        f'src="data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}">'
    )


def _refusals(run: RecordedRun, axis: TimeAxis) -> str:
    rows = []
    for outcome, count in run.refusals.most_common():
        stamps_ns = np.array([one.stamp_ns for one in run.replies if one.report.outcome == outcome], dtype=np.int64)
        first_s, last_s = axis.at(stamps_ns[[0, -1]])
        rows.append((reason_of(outcome), str(count), f"{first_s:.2f} s", f"{last_s:.2f} s"))
    if not rows:
        return "<h2>Refusals</h2><p>The driver refused no command.</p>"
    return f"<h2>Refusals</h2>{_table(('reason', 'commands', 'first at', 'last at'), rows)}"


def _latency(run: RecordedRun) -> str:
    answered = [
        (answer.stamp_ns, run.frames_ns[answer.stamp_ns], answer.received_ns)
        for answer in run.answers
        if answer.stamp_ns in run.frames_ns and not answer.command.hold
    ]
    commands_ns = {answer.stamp_ns: answer.received_ns for answer in run.answers}
    replied = [
        (reply.stamp_ns, commands_ns[reply.stamp_ns], reply.received_ns)
        for reply in run.replies
        if reply.stamp_ns in commands_ns
    ]
    waited_s, between = latency_s(answered)
    decided_s = np.array([received_ns - command_ns for _, command_ns, received_ns in replied], dtype=np.float64) * 1e-9
    rows = [
        Spread(name, spread["p50"], spread["p99"], spread["max"])
        for name, values_s in (("frame to command", waited_s), ("command to driver's answer", decided_s))
        if (spread := spread_ms(values_s))
    ]
    if not rows:
        return ""
    return (
        f'<h2>Latency</h2>{spread_rows(rows)}<p class="faint">Dot: median; red mark: 99th percentile; end of the line: '
        f"maximum; numbers: both percentiles in ms. Measured where the recorder stood: {escape(between)}.</p>"
    )


def _joints(run: RecordedRun, axis: TimeAxis) -> str:
    if not run.joints:
        return ""
    times_s = axis.at(np.array([sample.stamp_ns for sample in run.joints], dtype=np.int64))
    position = np.array([sample.position for sample in run.joints])
    velocity = np.array([sample.velocity for sample in run.joints])
    rows, charts = [], []
    for index, name in enumerate(ARM.joint_names):
        low, high = float(ARM.position_lower_rad[index]), float(ARM.position_upper_rad[index])
        least, most = float(position[:, index].min()), float(position[:, index].max())
        fastest, limit = float(np.abs(velocity[:, index]).max()), float(ARM.velocity_rad_s[index])
        rows.append((
            name, f"{least:.3f} to {most:.3f}", f"{low:.3f} to {high:.3f}", f"{min(least - low, high - most):.3f}",
            f"{fastest:.3f}", f"{limit:.3f}", f"{fastest / limit:.0%}",
        ))  # fmt: skip
        charts.append(line(f"{name} [rad]", times_s, position[:, index], axis.end_s, (low, high)))
    heads = ("joint", "positions [rad]", "limits [rad]", "margin [rad]", "fastest [rad/s]", "limit [rad/s]", "share")
    return (
        f"<h2>Joints against their limits</h2>{_table(heads, rows)}{''.join(charts)}"
        '<p class="faint">Measured positions; a dashed red line is a limit of the robot, shown where it is near.</p>'
    )


def _losses(run: RecordedRun) -> str:
    rows = []
    for name, statistics in run.statistics.items():
        if statistics.count:
            rows.append((
                name, str(statistics.count), str(statistics.missing), str(statistics.pauses),
                str(run.malformed[name]), "; ".join(f"{gap.missing}" for gap in statistics.gaps[:8]),
            ))  # fmt: skip
    said = "".join(f'<p class="bad">{escape(text)}</p>' for text in run.losses)
    heads = ("topic", "messages", "missing", "pauses", "malformed", "sizes of gaps")
    return f"<h2>What the bag holds</h2>{said}{_table(heads, rows)}"


def _diagnostics(run: RecordedRun) -> str:
    nodes = "".join(
        f"<details><summary>{escape(name)}</summary>{_table(('value', 'last said'), sorted(values.items()))}</details>"
        for name, values in sorted(run.diagnostics.items())
    )
    return f"<h2>Last diagnostics</h2>{nodes}" if nodes else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
