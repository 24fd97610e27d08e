"""A training run on the terminal: a bar, a line for each epoch, and the learning curve drawn anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich import progress as bars

from export.training.curves import plot_curve
from export.training.progress import EpochResult, Progress
from export.training.run import TrainingRun


def watched(
    run: TrainingRun[Any],
    progress: bars.Progress,
    measure: str,
    *,
    after_epoch: Callable[[EpochResult], None] = lambda row: None,
) -> Path:
    """Trains to the end.

    Args:
        run: to be trained; `curve.png` in its folder shows how it went.
        progress: started; the bar is one of its tasks.
        measure: what `EpochResult.accuracy` is of this run, in words.
        after_epoch: what else is to be done then.

    Returns:
        The checkpoint.

    Raises:
        DivergedError: the loss is NaN or infinite.
    """
    task = progress.add_task("training", total=100, note="")

    def on_step(now: Progress) -> None:
        progress.update(task, completed=100 * now.share, note=f"step {now.step}, loss {now.loss:.3f}")

    def on_epoch(row: EpochResult) -> None:
        plot_curve(run.curve, run.folder / "curve.png", measure)
        after_epoch(row)
        progress.console.print(
            f"epoch {row.epoch:3d}  loss {row.loss:.3f}  {measure} {row.accuracy:.3f}  ({row.size_px} px)"
        )

    return run.run(on_step, on_epoch)
