"""The landmark network at work: which variant runs, where it comes from, and crops that are aligned by it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.bundle import Variant, default_bundle_path, open_bundle
from edge_runtime.bundle_writing import digests, write_manifest
from edge_runtime.errors import BundleError, BundleInaccurateError, BundleTamperedError, EngineError
from edge_runtime.inference.landmark_engine import load_regressor, open_regressor
from edge_runtime.landmark_bundle import (
    embed_landmarks,
    landmarks_of,
    open_landmarks,
    packaged_landmarks_path,
)


@pytest.fixture(scope="module")
def packaged():
    return open_landmarks(packaged_landmarks_path())


def test_the_best_variant_that_is_right_here_runs(packaged):
    _, variant = open_regressor(packaged)
    assert variant == packaged.manifest.variants[0]


def test_a_variant_that_is_wrong_here_is_passed_over(packaged):
    strict = replace(packaged.golden, tolerances=packaged.golden.tolerances | {"int8": 0.0})
    _, variant = open_regressor(replace(packaged, golden=strict))
    assert variant.precision == "fp32"


def test_where_none_is_right_the_best_ones_fault_is_told(packaged):
    strict = replace(packaged.golden, tolerances=dict.fromkeys(packaged.golden.tolerances, 0.0))
    with pytest.raises(BundleInaccurateError, match="golden points"):
        open_regressor(replace(packaged, golden=strict))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_file_that_is_no_network_and_crops_of_another_size_are_errors_in_words(backend, packaged, tmp_path):
    variant = Variant(backend=backend, precision="fp32", file="model.fp32.onnx")
    (tmp_path / "model.fp32.onnx").write_bytes(b"no network")
    with pytest.raises(EngineError, match="cannot load"):
        load_regressor(replace(packaged, folder=tmp_path), variant)
    with pytest.raises(EngineError, match="failed on"):
        load_regressor(packaged, variant).regress(np.zeros((2, 20, 20), np.uint8))


@pytest.fixture
def bundle_with_landmarks(tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle_path(), folder)
    manifest = open_bundle(folder).manifest
    inside = embed_landmarks(packaged_landmarks_path(), folder)
    write_manifest(folder, manifest.model_copy(update={"landmarks": inside, "files": digests(folder)}))
    return folder


def test_a_bundle_may_bring_its_own_landmark_network(bundle_with_landmarks, packaged):
    bundle = open_bundle(bundle_with_landmarks)
    assert landmarks_of(bundle) == bundle_with_landmarks / "landmarks"
    assert open_landmarks(landmarks_of(bundle)).manifest == packaged.manifest
    assert landmarks_of(open_bundle(default_bundle_path())) == packaged_landmarks_path()


def test_the_bundles_digests_are_of_its_landmark_network_too(bundle_with_landmarks):
    file = bundle_with_landmarks / "landmarks" / "landmarks.json"
    file.write_text(file.read_text().replace("0.1.0", "0.1.1"))
    with pytest.raises(BundleTamperedError, match=r"landmarks/landmarks\.json"):
        open_bundle(bundle_with_landmarks)


def test_a_bundle_that_names_landmarks_without_a_digest_contradicts_itself(tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle_path(), folder)
    manifest = open_bundle(folder).manifest
    write_manifest(folder, manifest.model_copy(update={"landmarks": "landmarks"}))
    with pytest.raises(BundleError, match="has no digest"):
        open_bundle(folder)
