"""The choice that was measured on this very board: which variant of a bundle, with how many threads.

`roomtone bundle tune` measures and stores it in the state directory; a start uses it as long as bundle and processor
are the ones that were measured. Golden outputs are checked at each start all the same.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_runtime.board import read_board
from edge_runtime.bundle import Bundle, Precision, Variant
from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleInaccurateError, EngineError, MissingExtraError
from edge_runtime.file_writing import write_whole
from edge_runtime.inference.cpu import instruction_set
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.opening import Choice, open_engine
from edge_runtime.inference.saturation import saturates_here
from edge_runtime.inference.speed import BATCHES, ROUNDS, measure_speed

_log = logging.getLogger(__name__)
FILE: Final = "tuning.json"
_LARGEST: Final = max(BATCHES)
_SATURATES: Final = (
    "INT8 sums saturate on this CPU, and the network was not quantized for that "
    "(roomtone calibrate --saturation-safe, or --profile with this board's)"
)


class Measurement(BaseModel):
    """One variant with one number of threads: milliseconds of one call, or why there are none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["onnxruntime", "openvino"]
    precision: Precision
    threads: int = Field(ge=1)
    ms_batch_1: float | None = None
    ms_batch_8: float | None = None
    problem: str = ""

    @property
    def cost(self) -> float:
        """Time of a batch, times √threads: twice the threads must be 1.4 times as fast, or the cascades have them."""
        return math.inf if self.ms_batch_8 is None else self.ms_batch_8 * math.sqrt(self.threads)

    def __str__(self) -> str:
        return f"{self.backend} {self.precision}, {self.threads} thread{'s' if self.threads > 1 else ''}"


class Tuning(BaseModel):
    """`tuning.json`: what was measured, on what, and what was chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_id: Literal["roomtone-tuning/1"] = Field("roomtone-tuning/1", alias="schema")
    bundle_digest: str
    cpu: str
    choice: Measurement
    measured: tuple[Measurement, ...]

    def is_for(self, bundle: Bundle) -> bool:
        """Whether bundle and processor are the ones that were measured."""
        return self.bundle_digest == bundle.digest and self.cpu == cpu_identity()


def cpu_identity() -> str:
    """What a measurement holds for: the processor, how many of its cores there are, and its widest instructions."""
    board = read_board()
    return f"{board.cpu or 'unknown'}, {board.cores} cores, {instruction_set()}"


def tune(
    bundle: Bundle,
    threads: Sequence[int],
    *,
    rounds: int = ROUNDS,
    on_round: Callable[[int, int], None] = lambda done, total: None,
) -> Tuning:
    """Measures every variant that is right here, with every number of threads, and chooses.

    Args:
        bundle: opened.
        threads: to try.
        rounds: of the measurement, in each of which all take a turn.
        on_round: called with (rounds done, rounds in all).

    Raises:
        EngineError: no variant runs here.
    """
    engines: dict[str, Engine] = {}
    rows: list[Measurement] = []
    for variant in bundle.manifest.variants:
        for count in threads:
            row = Measurement(backend=variant.backend, precision=variant.precision, threads=count)
            if saturates_here(bundle, variant):
                rows.append(row.model_copy(update={"problem": _SATURATES}))
                continue
            try:
                engines[str(row)] = _open(bundle, variant, count)
            except (BundleInaccurateError, EngineError, MissingExtraError) as error:
                row = row.model_copy(update={"problem": str(error)})
            rows.append(row)
    if not engines:
        raise EngineError(
            f"no variant of {bundle.manifest.name} runs here: {'; '.join(row.problem for row in rows)}",
            hint="roomtone bundle verify says more",
        )
    golden = bundle.golden
    timed = measure_speed(engines, golden.crops, given=golden.given, rounds=rounds, on_round=on_round)
    measured = tuple(
        row.model_copy(
            update={f"ms_batch_{batch}": round(timed[str(row), batch].median_ms, 4) for batch in BATCHES}
        )
        if str(row) in engines
        else row
        for row in rows
    )
    best = min(measured, key=lambda row: row.cost)
    return Tuning(bundle_digest=bundle.digest, cpu=cpu_identity(), choice=best, measured=measured)


def save_tuning(tuning: Tuning, state: Path) -> Path:
    """Writes the choice into the state directory, whole or not at all.

    Raises:
        EngineError: the directory cannot be written.
    """
    path = state / FILE
    try:
        state.mkdir(parents=True, exist_ok=True)
        write_whole(path, (tuning.model_dump_json(by_alias=True, indent=1) + "\n").encode())
    except OSError as exc:
        raise EngineError(
            f"{path} cannot be written: {exc.strerror}", hint="run it as the user of the service, or as root"
        ) from exc
    return path


def load_tuning(bundle: Bundle, state: Path) -> Tuning | None:
    """What is stored for this bundle and this processor; None where nothing is, or nothing that can be used."""
    path = state / FILE
    try:
        tuning = Tuning.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as exc:
        _log.warning("%s is not used: %s", path, str(exc).partition("\n")[0])
        return None
    if not tuning.is_for(bundle):
        _log.info("%s is of another bundle or processor; roomtone bundle tune measures anew", path)
        return None
    return tuning


def open_tuned_engine(bundle: Bundle, settings: InferenceSection, state: Path) -> Choice:
    """`open_engine` with what was measured on this board in front of the order.

    What the configuration names outright (backend, precision) stays in force.

    Raises:
        MissingExtraError, EngineError, BundleInaccurateError: see `open_engine`.
    """
    tuning = load_tuning(bundle, state)
    if tuning is None:
        return open_engine(bundle, settings)
    best = tuning.choice
    first = f"{best.backend} {best.precision}"
    changes = {"prefer": (first, *settings.prefer), "threads": best.threads}
    choice = open_engine(bundle, settings.model_copy(update=changes))
    if (choice.variant.backend, choice.variant.precision) != (best.backend, best.precision):
        return choice
    why = f"measured as the best on this board ({best.ms_batch_8:.1f} ms for 8 faces)"
    return replace(choice, reason="; ".join([why, *choice.reason.split("; ")[1:]]))


def _open(bundle: Bundle, variant: Variant, threads: int) -> Engine:
    settings = InferenceSection(backend=variant.backend, precision=variant.precision, threads=threads)
    return open_engine(bundle, settings).engine
