"""Crops become calibrated probabilities, in batches no larger than allowed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_runtime.bundle import open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import EngineError
from edge_runtime.inference.classifier import Classifier, softmax
from edge_runtime.inference.opening import open_engine


class Counted:
    """A real engine that notes the size of each call."""

    def __init__(self, engine):
        self.engine, self.report, self.calls = engine, engine.report, []

    def logits(self, crops):
        self.calls.append(len(crops))
        return self.engine.logits(crops)


@pytest.fixture
def engine(tiny_bundle):
    return Counted(open_engine(open_bundle(tiny_bundle), InferenceSection()).engine)


def softmax_by_the_book(row, temperature):
    powers = [math.exp(float(value) / temperature) for value in row]
    return [power / math.fsum(powers) for power in powers]


@given(
    logits=hnp.arrays(np.float32, (3, 7), elements=st.floats(-40, 40, width=32)),
    temperature=st.floats(0.25, 8),
)
def test_softmax_is_the_textbooks(logits, temperature):
    expected = [softmax_by_the_book(row, temperature) for row in logits]
    before = logits.copy()
    np.testing.assert_allclose(softmax(logits, temperature), expected, atol=2e-5)
    np.testing.assert_array_equal(logits, before)


def test_softmax_of_huge_logits_does_not_overflow():
    row = softmax(np.array([[1e30, -1e30, 1e30]], np.float32), 1.0)
    np.testing.assert_allclose(row, [[0.5, 0, 0.5]])


def test_a_higher_temperature_is_less_sure_of_the_same_class():
    logits = np.array([[2.0, 1.0, 0.0]], np.float32)
    sure, unsure = softmax(logits, 1.0), softmax(logits, 4.0)
    assert sure.argmax() == unsure.argmax() == 0
    assert sure.max() > unsure.max() > 1 / 3


@pytest.mark.parametrize(
    ("count", "max_batch", "calls"),
    [
        pytest.param(0, 16, [], id="nobody"),
        pytest.param(1, 16, [1], id="one"),
        pytest.param(16, 16, [16], id="a full batch"),
        pytest.param(17, 16, [16, 1], id="one over"),
        pytest.param(5, 2, [2, 2, 1], id="small batches"),
        pytest.param(3, 1, [1, 1, 1], id="one by one"),
    ],
)
def test_faces_are_classified_in_batches(engine, tiny_network, count, max_batch, calls):
    crops = np.random.default_rng(5).integers(0, 256, (count, 96, 96), np.uint8)
    classifier = Classifier(engine, temperature=1.5, classes=7, max_batch=max_batch)
    probabilities = classifier.probabilities(crops)
    assert engine.calls == calls
    assert probabilities.shape == (count, 7)
    assert probabilities.dtype == np.float32
    expected = [softmax_by_the_book(row, 1.5) for row in tiny_network(crops)]
    np.testing.assert_allclose(probabilities, np.reshape(expected, (count, 7)), atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_logit_that_is_no_number_goes_no_further(engine, value):
    class Broken(Counted):
        def logits(self, crops):
            logits = super().logits(crops)
            logits[0, 3] = value
            return logits

    classifier = Classifier(Broken(engine.engine), temperature=1.0, classes=7, max_batch=4)
    with pytest.raises(EngineError, match="not finite"):
        classifier.probabilities(np.zeros((2, 96, 96), np.uint8))
