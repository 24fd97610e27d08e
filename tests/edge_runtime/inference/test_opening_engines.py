"""Which variant of a bundle runs: the best one that is installed, loads and is right; and the reason."""

from __future__ import annotations

import importlib.util
import logging

import numpy as np
import onnx
import pytest

from edge_runtime.bundle import open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleInaccurateError, EngineError, MissingExtraError
from edge_runtime.inference import opening, saturation
from edge_runtime.inference.opening import golden_difference, open_engine

ORT = {"backend": "onnxruntime", "precision": "fp32", "file": "model.fp32.onnx"}
OPENVINO = {"backend": "openvino", "precision": "fp32", "file": "model.fp32.onnx"}
ORT_INT8 = {"backend": "onnxruntime", "precision": "int8", "file": "model.int8.onnx"}


@pytest.fixture(autouse=True)
def _sums_of_32_bits(monkeypatch):
    """Whatever these tests run on."""
    monkeypatch.setattr(saturation, "instruction_set", lambda: "AVX-512 VNNI")


def choose(folder, **settings):
    return open_engine(open_bundle(folder), InferenceSection(**settings))


def without(monkeypatch, *missing):
    find = importlib.util.find_spec
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name in missing else find(name))


def with_int8(folder, network, seal_bundle, *, off_by=0.0):
    """Adds an "int8" variant in the first place, whose logits are all too large by `off_by`."""
    shifted = type(network)(network.kernels, network.weight, network.bias + np.float32(off_by))
    onnx.save(shifted.onnx(), folder / "model.int8.onnx")
    return seal_bundle(folder, variants=[ORT_INT8, ORT])


def test_the_first_variant_of_the_bundle_runs_by_default(tiny_bundle, seal_bundle):
    assert choose(tiny_bundle).variant.backend == "onnxruntime"
    seal_bundle(tiny_bundle, variants=[OPENVINO, ORT])
    choice = choose(tiny_bundle)
    assert choice.variant.backend == choice.engine.report.backend == "openvino"
    assert choice.reason == "best of the bundle here"
    assert choice.golden_difference < 1e-4


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_backend_that_is_named_runs(tiny_bundle, backend):
    choice = choose(tiny_bundle, backend=backend, precision="fp32", threads=2)
    assert choice.engine.report.backend == backend
    assert choice.engine.report.threads == 2
    assert choice.reason == "as configured"


@pytest.mark.parametrize(
    ("prefer", "backend", "reason"),
    [
        (("openvino fp32", "onnxruntime fp32"), "openvino", "preferred here"),
        (("onnxruntime int8", "openvino fp32"), "openvino", "preferred here"),
        (("onnxruntime int8",), "onnxruntime", "best of the bundle here"),
        ((), "onnxruntime", "best of the bundle here"),
    ],
    ids=["the first", "the first that the bundle offers", "none that the bundle offers", "none"],
)
def test_the_board_s_order_goes_before_the_bundle_s(tiny_bundle, seal_bundle, prefer, backend, reason):
    seal_bundle(tiny_bundle, variants=[ORT, OPENVINO])
    choice = choose(tiny_bundle, prefer=prefer)
    assert (choice.variant.backend, choice.reason) == (backend, reason)


def test_what_the_bundle_does_not_offer_cannot_be_had(tiny_bundle):
    with pytest.raises(EngineError, match="no variant for auto int8") as caught:
        choose(tiny_bundle, precision="int8")
    assert "onnxruntime fp32" in caught.value.hint


def test_a_backend_that_is_not_installed_is_passed_over(tiny_bundle, seal_bundle, monkeypatch):
    seal_bundle(tiny_bundle, variants=[OPENVINO, ORT])
    without(monkeypatch, "openvino")
    choice = choose(tiny_bundle)
    assert choice.variant.backend == "onnxruntime"
    assert "openvino fp32: not installed" in choice.reason


def test_a_backend_that_is_named_but_not_installed_says_what_to_install(tiny_bundle, monkeypatch):
    without(monkeypatch, "openvino")
    with pytest.raises(MissingExtraError) as caught:
        choose(tiny_bundle, backend="openvino")
    assert caught.value.hint == "pip install 'roomtone[openvino]'"
    assert caught.value.exit_code == 11


def test_without_any_backend_there_is_no_engine(tiny_bundle, monkeypatch):
    without(monkeypatch, "openvino", "onnxruntime")
    with pytest.raises(EngineError, match=r"not installed.*not installed"):
        choose(tiny_bundle)


def test_a_quantized_variant_within_its_tolerance_runs(tiny_bundle, tiny_network, seal_bundle):
    choice = choose(with_int8(tiny_bundle, tiny_network, seal_bundle, off_by=0.4))
    assert choice.variant.precision == "int8"
    assert choice.golden_difference == pytest.approx(0.4, abs=1e-3)


def test_a_variant_whose_golden_outputs_differ_is_passed_over_and_logged(
    tiny_bundle, tiny_network, seal_bundle, caplog
):
    with caplog.at_level(logging.WARNING):
        choice = choose(with_int8(tiny_bundle, tiny_network, seal_bundle, off_by=0.6))
    assert choice.variant.precision == "fp32"
    assert "onnxruntime int8: golden outputs differ on this CPU" in choice.reason
    assert "0.6" in caplog.text


def test_int8_whose_sums_saturate_here_runs_only_when_it_is_asked_for(
    tiny_bundle, tiny_network, seal_bundle, monkeypatch
):
    folder = with_int8(tiny_bundle, tiny_network, seal_bundle)
    monkeypatch.setattr(saturation, "instruction_set", lambda: "AVX2")
    choice = choose(folder, prefer=("onnxruntime int8",))
    assert choice.variant.precision == "fp32"
    assert "onnxruntime int8: its sums saturate on this CPU" in choice.reason
    assert choose(folder, precision="int8").variant.precision == "int8"
    (folder / "calibration.json").write_text('{"quantization": {"saturation_safe": true}}')
    seal_bundle(folder, variants=[ORT_INT8, ORT])
    assert choose(folder).variant.precision == "int8"


def test_a_precision_that_is_named_but_wrong_on_this_cpu_is_refused(tiny_bundle, tiny_network, seal_bundle):
    folder = with_int8(tiny_bundle, tiny_network, seal_bundle, off_by=0.6)
    with pytest.raises(BundleInaccurateError, match=r"by 0\.6, allowed is 0\.5") as caught:
        choose(folder, precision="int8")
    assert caught.value.exit_code == 7
    assert caught.value.hint


def test_a_variant_that_does_not_load_is_passed_over(tiny_bundle, tiny_network, seal_bundle):
    with_int8(tiny_bundle, tiny_network, seal_bundle)
    (tiny_bundle / "model.int8.onnx").write_bytes(b"no network")
    seal_bundle(tiny_bundle, variants=[ORT_INT8, ORT])
    choice = choose(tiny_bundle)
    assert choice.variant.precision == "fp32"
    assert "onnxruntime int8: does not run here" in choice.reason
    with pytest.raises(EngineError, match=r"model\.int8\.onnx"):
        choose(tiny_bundle, precision="int8")


def test_logits_that_are_not_numbers_are_inaccurate(tiny_bundle, tiny_network, seal_bundle):
    folder = with_int8(tiny_bundle, tiny_network, seal_bundle, off_by=np.nan)
    with pytest.raises(BundleInaccurateError, match="by nan"):
        choose(folder, precision="int8")


def test_one_wrong_golden_logit_is_enough(tiny_bundle, seal_bundle):
    with np.load(tiny_bundle / "golden.npz") as archive:
        arrays = dict(archive)
    arrays["logits"][3, 2] += 0.01
    np.savez(tiny_bundle / "golden.npz", **arrays)
    seal_bundle(tiny_bundle)
    with pytest.raises(BundleInaccurateError, match=r"0\.01"):
        choose(tiny_bundle)


def test_the_golden_difference_is_the_largest_of_single_images_and_of_the_batch(tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    choice = choose(tiny_bundle)

    class BatchIsWrong:
        report = choice.engine.report

        def logits(self, crops):
            wrong = np.float32(5e-5 if len(crops) > 1 else 0)
            return choice.engine.logits(crops) + wrong

    assert golden_difference(BatchIsWrong(), bundle, choice.variant) == pytest.approx(5e-5, abs=2e-5)
