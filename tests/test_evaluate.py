"""Suites, the regression check against a baseline, the report, and resuming: all that needs no graph."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fetch_sim2real.evaluation.evidence import (
    CaseResult,
    Evidence,
    EvidenceError,
    SeedResult,
    SeedTiming,
    Timing,
    case_result,
    read_evidence,
)
from fetch_sim2real.evaluation.regression_check import compare
from fetch_sim2real.evaluation.result import LatencyRecord, write_result
from fetch_sim2real.evaluation.statistics import fisher_test, sign_test
from fetch_sim2real.evaluation.suite import Case, SuiteError, load_suite, suite_names
from fetch_sim2real.reports.evaluation_page import Clip, report_html


def test_shipped_suites_are_sound() -> None:
    assert {"smoke", "nominal", "randomized", "gap", "perturbed", "latency"} <= set(suite_names())
    for name in suite_names():
        suite = load_suite(name)
        assert suite.description and suite.total == len(list(suite.items()))
    assert load_suite("smoke").total <= 20  # two minutes


def test_a_sweep_becomes_cases_of_one_curve(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "description: d\npolicy: push\nepisodes: 3\ncases:\n  - {name: plain, seed: 5}\n"
        "  - {name: late, perturb: [shove], sweep: {extra_latency_ms: [0, 40]}}\n"
    )
    suite = load_suite(str(path), {"episodes": 2})
    assert [case.name for case in suite.cases] == ["plain", "late extra_latency_ms=0", "late extra_latency_ms=40"]
    plain, zero, forty = suite.cases
    assert list(plain.seeds) == [5, 6] and forty.curve == "late" and (zero.amount, forty.amount) == (0.0, 40.0)
    assert forty.conditions.summary() == "shove, extra_latency_ms 40"
    assert suite.sha256() != load_suite(str(path)).sha256()


def test_another_policy_takes_the_cases_of_its_task_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "description: d\ncases:\n  - {name: a, policy: push}\n  - {name: b, policy: reach_block}\n"
        "  - {name: c, policy: reach_block, task: push, against: b}\n  - {name: d}\n"
    )
    tasks = {"push": "push", "mine": "push", "reach_block": "reach_block", "far": "slide"}
    suite = load_suite(str(path), {}, "mine").with_policy("mine", tasks.__getitem__)
    assert [(case.name, case.policy, case.against) for case in suite.cases] == [
        ("a", "mine", ""), ("c", "mine", ""), ("d", "mine", ""),
    ]  # fmt: skip
    with pytest.raises(SuiteError, match=r"far is for the task 'slide', expected one of those .*: push, reach_block"):
        load_suite(str(path), {}, "push").with_policy("far", tasks.__getitem__)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cases: 3", "list of 'cases'"),
        ("cases: [{name: a}]", "policy"),
        ("cases: [{name: a, policy: push, sweep: {speed: [1]}}]", "sweep"),
        ("cases: [{name: a, policy: push}, {name: a, policy: push}]", "several cases"),
        ("cases: [{name: a, policy: push, seed: 1000000000}]", "last for evaluation"),
    ],
)
def test_a_wrong_suite_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError, match=named):
        load_suite(str(path))


def test_exact_tests() -> None:
    assert sign_test(0, 0) == 1.0 and sign_test(5, 0) == 1 / 32 and sign_test(0, 5) == 1.0
    assert sign_test(3, 1) == pytest.approx(5 / 16)
    # The tea-tasting table: 3 of 4 against 1 of 4 has p = 17/70 for at least 3, so for at most 1 of 4.
    assert fisher_test(1, 4, 3, 4) == pytest.approx(17 / 70)
    assert fisher_test(0, 10, 10, 10) == pytest.approx(1 / 184756)
    assert fisher_test(4, 4, 2, 4) == 1.0


def episodes(successes: str, seed: int = 10) -> tuple[SeedResult, ...]:
    return tuple(
        SeedResult(
            seed=seed + index, success=letter == "s", final_distance_m=0.01 if letter == "s" else 0.2, steps=100,
            refusals={"stale": 2} if letter == "f" else {}, limited_commands=0, setpoints_sha256="0",
        )
        for index, letter in enumerate(successes)
    )  # fmt: skip


def evidence(latency_ms: float = 5.0, **cases: str) -> Evidence:
    results: list[CaseResult] = []
    timings: dict[str, tuple[SeedTiming, ...]] = {}
    for name, successes in cases.items():
        case = Case(name=name, policy="push", episodes=len(successes), seed=10)
        results.append(case_result(case, "push", "ab" * 32, 0.05, episodes(successes)))
        timings[name] = tuple(
            SeedTiming(
                seed=10 + index, total=None, wall_s=1.0,
                frame_to_command=LatencyRecord(p50=latency_ms + 0.1 * (index % 3), p99=9.0, max=12.0),
            )
            for index in range(len(successes))
        )  # fmt: skip
    timing = Timing(started="now", command="evaluate", machine="here", jobs=1, wall_s=3.0, cases=timings)
    return Evidence(
        version="0", suite="mine", description="a <b>suite</b>", suite_sha256="0" * 64, cases=tuple(results),
        timing=timing,
    )  # fmt: skip


def test_the_same_is_no_worse() -> None:
    now = evidence(a="sssfs", b="fffff")
    assert not any(finding.worse for finding in compare(now, now))


def test_losses_in_several_cases_count_together() -> None:
    """Three lost seeds in each case are nothing by themselves, and six together are."""
    now, before = evidence(a="fffss", b="fffss"), evidence(a="sssss", b="sssss")
    assert [finding.worse for finding in compare(now, before)] == [False, False, True, False]
    assert not any(finding.worse for finding in compare(before, now))


def test_other_seeds_are_compared_by_fisher() -> None:
    before = evidence(a="s" * 20)
    moved = before.cases[0].model_copy(update={"episodes": episodes("s" * 20, seed=500)})
    findings = compare(evidence(a="f" * 12 + "s" * 8), before.model_copy(update={"cases": (moved,)}))
    assert findings[0].worse and "Fisher" in findings[0].text


def test_a_slower_stack_is_worse_only_by_much_and_surely() -> None:
    before = evidence(a="s" * 10)
    slow, slightly = evidence(latency_ms=8.0, a="s" * 10), evidence(latency_ms=5.5, a="s" * 10)
    assert compare(slow, before)[-1].worse
    assert not compare(slightly, before)[-1].worse
    assert not any(finding.worse for finding in compare(slow, before, max_slowdown=0.0))
    assert not compare(evidence(latency_ms=8.0, a="sss"), evidence(a="sss"))[-1].worse  # three episodes prove nothing


def test_a_case_that_is_left_out_fails_the_regression_check() -> None:
    findings = compare(evidence(a="ss"), evidence(a="ss", b="ss"))
    assert findings[-1].worse and "b" in findings[-1].text
    with pytest.raises(EvidenceError, match="nothing to compare"):
        compare(evidence(a="s"), evidence(b="s"))


def test_evidence_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    write_result(evidence(a="sf"), path)
    assert read_evidence(path) == evidence(a="sf")
    path.write_text("{}")
    with pytest.raises(EvidenceError, match="is not the JSON file of an evaluation"):
        read_evidence(path)


class Links(HTMLParser):
    """Everything in a page that a browser would load, and all tags."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "poster")]
        if tag not in ("meta", "link", "img", "line", "circle", "rect", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "poster")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_needs_nothing_but_itself() -> None:
    now = evidence(a="sfs", b="sss")
    clip = Clip(now.cases[0], now.cases[0].episodes[1], "<div>moving</div>", "")
    page = report_html(now, [clip], compare(now, now))
    links = Links()
    links.feed(page)
    assert not links.open and all(link.startswith("data:") for link in links.loaded)
    assert "://" not in page and all(url.startswith("data:") for url in re.findall(r"url\(([^)]*)", page))
    assert "a &lt;b&gt;suite" in page and "2 of 3" in page and "seed 11" in page and "McNemar" in page


def test_a_case_is_compared_with_the_one_it_is_against() -> None:
    now = evidence(a="sssss", b="sfffs")
    first, second = now.cases
    compared = second.case.model_copy(update={"against": "a"})
    now = now.model_copy(update={"cases": (first, second.model_copy(update={"case": compared}))})
    ((case, other, found),) = now.differences()
    assert (case, other, found.rate, found.only_first, found.only_second) == ("b", "a", pytest.approx(-0.6), 0, 3)
    assert "Seed by seed" in report_html(now) and "-60.0" in report_html(now)
    assert "Seed by seed" not in report_html(evidence(a="s"))


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("{name: b, against: c}", "against 'c'"),
        ("{name: b, against: b}", "against 'b'"),
        ("{name: b, against: a, seed: 7}", "expected the same"),
    ],
)
def test_a_case_can_only_be_against_another_of_its_seeds(tmp_path: Path, case: str, named: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"policy: push\ncases: [{{name: a}}, {case}]")
    with pytest.raises(SuiteError, match=named):
        load_suite(str(path))


def test_the_report_draws_a_curve_for_each_sweep(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("cases: [{name: late, policy: push, episodes: 2, sweep: {extra_latency_ms: [0, 40, 80]}}]")
    results = [case_result(c, "push", "0", 0.05, episodes("sf")) for c in load_suite(str(path)).cases]
    page = report_html(evidence(a="s").model_copy(update={"cases": tuple(results)}))
    assert page.count("<polyline") == 1 and page.count("extra latency [ms] ") == 3
    watch = "fetch-sim2real sim --policy push --world randomized --seed 11 --episodes 1 --view"
    assert f"<code>{watch} --inject extra_latency_ms=40</code>" in page


def test_unfinished_work_is_found_again_and_never_mixed(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    from fetch_sim2real.errors import SetupError
    from fetch_sim2real.ros.simulated_runs.evaluation import checked, prepare
    from fetch_sim2real.ros.simulated_runs.evaluation_worker import Line

    suite, folder = load_suite("smoke"), tmp_path / "run"
    plan = checked(suite)
    assert not prepare(folder, plan, fresh=False).results
    timing = SeedTiming(seed=10, frame_to_command=None, total=None, wall_s=1.0)
    line = Line(case="push", result=episodes("s")[0], timing=timing).model_dump_json()
    (folder / "episodes-0.jsonl").write_text(f"{line}\n{line[:40]}")  # the second was cut off
    assert list(prepare(folder, plan, fresh=False).results) == [("push", 10)]
    other = plan.model_copy(update={"revision": "another"})
    with pytest.raises(SetupError, match="--fresh"):
        prepare(folder, other, fresh=False)
    assert not prepare(folder, other, fresh=True).results
    (folder / "evaluation.json").write_text("{}")
    (folder / "notes.txt").write_text("mine")
    assert not prepare(folder, plan, fresh=False).results  # finished: begins anew
    assert (folder / "notes.txt").exists() and not (folder / "evaluation.json").exists()
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "thesis.tex").write_text("")
    with pytest.raises(SetupError, match="in use"):
        prepare(strange, plan, fresh=True)
