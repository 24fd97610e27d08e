import numpy as np
import pytest

from calibration.temperature import HIGHEST, LOWEST, TemperatureError, fit_temperature
from edge_runtime.inference.classifier import softmax


def sampled(
    rng: np.random.Generator, temperature: float, count: int = 20_000
) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from what their softmax at this temperature says."""
    logits = rng.normal(0, 3, (count, 5)).astype(np.float32)
    chances = softmax(logits, temperature).cumsum(axis=1)
    return logits, (rng.random((count, 1)) > chances).sum(axis=1).clip(max=4)


def likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    return float(-np.log(softmax(logits, temperature)[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 8.0])
def test_the_temperature_that_made_the_labels_is_found(rng: np.random.Generator, temperature: float) -> None:
    assert fit_temperature(*sampled(rng, temperature)) == pytest.approx(temperature, rel=0.05)


def test_no_temperature_of_a_fine_grid_is_likelier(rng: np.random.Generator) -> None:
    logits, labels = sampled(rng, 1.7, count=300)
    best = likelihood(logits, labels, fit_temperature(logits, labels))
    assert best <= min(likelihood(logits, labels, t) for t in np.geomspace(0.5, 19, 400)) + 1e-6


def test_scaled_logits_scale_the_temperature(rng: np.random.Generator) -> None:
    logits, labels = sampled(rng, 1.0, count=2000)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * fit_temperature(logits, labels), rel=1e-4)


def test_large_logits_do_not_overflow(rng: np.random.Generator) -> None:
    logits, labels = sampled(rng, 1.0, count=2000)
    assert fit_temperature(logits + np.float32(5000), labels) == pytest.approx(
        fit_temperature(logits, labels), rel=1e-2
    )


def test_a_set_that_is_all_right_has_no_temperature() -> None:
    logits = 4 * np.eye(5, dtype=np.float32)
    with pytest.raises(TemperatureError, match="every image is right") as found:
        fit_temperature(logits, np.arange(5))
    assert found.value.bound == LOWEST


def test_confidence_that_misleads_has_no_temperature() -> None:
    logits = 4 * np.eye(5, dtype=np.float32)
    with pytest.raises(TemperatureError, match="says nothing") as found:
        fit_temperature(logits, (np.arange(5) + 1) % 5)
    assert found.value.bound == HIGHEST
