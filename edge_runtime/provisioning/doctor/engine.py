"""The bundle and its engines: digests hold, and every variant gives its golden outputs on this CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from edge_runtime.config import Config, InferenceSection
from edge_runtime.inference.trials import Trial, try_variants
from edge_runtime.provisioning.doctor.check import Check, Finding, fail, ok, skipped, warn
from edge_runtime.updates.starting import bundle_in_force

_LIMIT_S: Final = 90.0  # OpenVINO compiles for half a minute on a slow board


def engine_checks(config: Config) -> list[Check]:
    """Checks of the bundle that a start would run, and of its engines."""
    return [
        Check("bundle", "bundle", lambda: bundle(config)),
        Check("engine", "engine", lambda: list(engines(config)), needs=("bundle",), limit_s=_LIMIT_S),
    ]


def bundle(config: Config) -> Finding:
    """Whether it is whole; what opening it raises is the finding otherwise."""
    opened, problem = bundle_in_force(config)
    name = f"{opened.manifest.name} {opened.manifest.version}"
    if problem:
        what = f"{name} stands in: {problem}"
        return warn(
            what, "install the bundle again: roomtone bundle install", name=name, digest=opened.digest
        )
    return ok(f"{name}: every digest holds", name=name, digest=opened.digest)


def engines(config: Config) -> Iterator[Finding]:
    """One finding for each variant, and one for whether the configured choice runs."""
    opened, _ = bundle_in_force(config)
    inference = config.inference
    trials = try_variants(opened, threads=inference.threads)
    wanted = [trial for trial in trials if _is_wanted(trial, inference)]
    runs = any(trial.result == "ok" for trial in wanted)
    if not runs:
        offered = ", ".join(_name(trial) for trial in trials if trial.result == "ok") or "none"
        yield fail(
            f"no variant of the bundle runs here as configured ({inference.backend}, {inference.precision})",
            f"set [inference] backend and precision; right on this CPU: {offered}",
        )
    for trial in trials:
        yield _judge(trial)


def _is_wanted(trial: Trial, inference: InferenceSection) -> bool:
    return inference.backend in ("auto", trial.variant.backend) and inference.precision in (
        "auto",
        trial.variant.precision,
    )


def _name(trial: Trial) -> str:
    return f"{trial.variant.backend} {trial.variant.precision}"


def _judge(trial: Trial) -> Finding:
    title = _name(trial)
    if trial.result == "not installed":
        found = skipped("not installed", trial.hint)
    elif trial.result == "wrong":
        found = warn(
            trial.problem, trial.hint or "another variant runs; export the bundle again", result="wrong"
        )
    else:
        found = ok(
            f"golden outputs within {trial.golden_difference:.2g}, {trial.ms_per_face:.1f} ms a face, "
            f"{trial.instruction_set}",
            largest_difference=trial.golden_difference or 0.0,
            ms_per_face=round(trial.ms_per_face or 0.0, 2),
            instruction_set=trial.instruction_set,
        )
    return replace(found, title=title)
