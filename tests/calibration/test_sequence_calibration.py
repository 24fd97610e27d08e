"""A network of sequences is quantized in its encoder, judged on clips, and its head stays in float."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sequence_bundles import FRAMES, HEAD, SIZE, TinySequence, write_sequence_bundle

from calibration.assembly import SampleRequest, prove_bundle
from calibration.clips import prepare_clips
from calibration.outcome import QuantizationSettings
from edge_runtime.bundle import open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.alignment import align
from edge_runtime.features.landmark_distances import landmark_distances
from edge_runtime.inference.opening import open_engine

CLIPS = 1500


@pytest.fixture(scope="module", params=[False, True], ids=["crops alone", "with landmarks"])
def network(request):
    return TinySequence.drawn(landmarks=request.param)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, network):
    return open_bundle(write_sequence_bundle(tmp_path_factory.mktemp("sequences") / "tiny", network))


def clips(count, seed=0):
    """Noise that brightens here and there, so that the network's classes differ."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, FRAMES, 24, 24), np.uint8).repeat(4, 2).repeat(4, 3)
    pupils = np.broadcast_to(np.float32([[24, 24], [72, 24]]), (count, FRAMES, 2, 2)).copy()
    landmarks = rng.uniform(20, 80, (count, FRAMES, 70, 2)).astype(np.float32)
    landmarks[:, :, 27], landmarks[:, :, 30] = (48, 30), (48, 50)
    return {"images": images, "pupils_xy": pupils, "landmarks_xy": landmarks}


def labelled(bundle, arrays):
    """Clips whose label is the network's own, but every tenth."""
    shares = np.full((len(arrays["images"]), FRAMES, 7), 1 / 7, np.float32)
    shares[np.arange(len(shares)), -1, np.arange(len(shares)) % 7] = 1
    draft = {**arrays, "shares": shares}
    template = bundle.manifest.alignment.template()
    crops = np.stack(
        [
            np.concatenate(
                [align(image, pupils[None], template) for image, pupils in zip(*clip, strict=True)]
            )
            for clip in zip(draft["images"], draft["pupils_xy"], strict=True)
        ]
    )
    given = {}
    if bundle.manifest.wants_landmarks:
        flat = landmark_distances(arrays["landmarks_xy"].reshape(-1, 70, 2))
        given = {"landmark_distances": flat.reshape(len(crops), FRAMES, -1)}
    logits = open_engine(bundle, InferenceSection(backend="onnxruntime")).engine.logits(crops, given)
    labels = logits.argmax(axis=1)
    labels[::10] = (labels[::10] + 1) % 7
    shares[:, -1] = np.eye(7)[labels]
    return draft


@pytest.fixture(scope="module")
def file(tmp_path_factory, bundle):
    path = tmp_path_factory.mktemp("clips") / "clips.npz"
    np.savez(path, **labelled(bundle, clips(CLIPS)))
    return path


def test_every_third_clip_of_each_class_calibrates_chooses_or_tests(file, bundle, network):
    samples, held_out = prepare_clips(file, bundle)
    sizes = [len(part.labels) for part in (held_out.choosing, held_out.testing)]
    assert all(CLIPS / 3 - 7 <= size <= CLIPS / 3 + 7 for size in sizes)
    assert samples.crops.shape[1:] == (FRAMES, SIZE, SIZE)
    assert set(samples.given) == set(network.kinds) - {"crop"}
    seen = {part.images[row].tobytes() for part in (held_out.choosing,) for row in range(sizes[0])}
    assert not seen & {held_out.testing.images[row].tobytes() for row in range(sizes[1])}


def test_the_encoder_is_quantized_and_the_head_is_not(file, bundle, tmp_path):
    proven = prove_bundle(
        bundle,
        file,
        tmp_path / "proven",
        QuantizationSettings(compare_defaults=False),
        samples=SampleRequest(None, 1, 0, tmp_path),
    )
    written = proven.bundle
    int8 = [variant for variant in written.manifest.variants if variant.precision == "int8"]
    assert int8, [(result.variant, result.verdict) for result in proven.quantization.results]
    for variant in written.manifest.variants:
        assert (variant.head, variant.head_precision) == (HEAD, "fp32")
        open_engine(written, InferenceSection(backend=variant.backend, precision=variant.precision))
    layers = {row.layer.title for row in proven.quantization.sensitivity}
    assert "kernels" in layers
    assert "weight" not in layers  # the head's
    assert written.manifest.sequence == bundle.manifest.sequence
    assert written.golden.crops.shape == bundle.golden.crops.shape
    assert json.loads((written.folder / "calibration.json").read_text("utf-8"))["quantization"]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        pytest.param(lambda arrays: arrays.pop("shares"), "cannot be read as clips", id="no shares"),
        pytest.param(
            lambda arrays: arrays.update(images=arrays["images"][:, :3]), "reads 5 frames", id="fewer frames"
        ),
        pytest.param(
            lambda arrays: arrays.update(shares=arrays["shares"][..., :6]), "tells 6 classes", id="classes"
        ),
        pytest.param(
            lambda arrays: arrays.update({name: rows[:9] for name, rows in arrays.items()}),
            "less than three of each class",
            id="too few",
        ),
    ],
)
def test_clips_that_are_not_the_bundles_are_refused(bundle, tmp_path, spoil, problem):
    arrays = clips(30) | {"shares": np.full((30, FRAMES, 7), 1 / 7, np.float32)}
    spoil(arrays)
    np.savez(tmp_path / "clips.npz", **arrays)
    with pytest.raises(ConfigurationError, match=problem):
        prepare_clips(tmp_path / "clips.npz", bundle)


def test_photographs_are_no_clips(bundle, tmp_path):
    np.savez(tmp_path / "faces.npz", images=np.zeros((4, 48, 48), np.uint8), labels=np.zeros(4, np.int64))
    with pytest.raises(ConfigurationError, match="tiny-sequence reads sequences"):
        prepare_clips(tmp_path / "faces.npz", bundle)
