"""A bad bundle is never committed: wrong labels, accuracy gone, too slow, changed byte, older than the floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from update_parts import QUALITY, Versions

from edge_runtime.bundle import open_bundle
from edge_runtime.config import Config, UpdatesSection
from edge_runtime.errors import (
    BundleError,
    BundleTamperedError,
    CandidateRefusedError,
    ConfigurationError,
    UpdateError,
)
from edge_runtime.updates.activation import activate
from edge_runtime.updates.checks import Examination, check_labels, check_quality, examine
from edge_runtime.updates.installing import install
from edge_runtime.updates.slots import Slots

CONFIG = Config.model_validate({"updates": {"max_face_ms": 10_000}})  # the machine may be busy


def current(slots: Slots, folder: Path) -> None:
    candidate = install(slots, str(folder), CONFIG.updates)
    slots.mark(candidate.digest, "checked")
    slots.commit()


def activated(slots: Slots, folder: Path, *waivers: str, updates: dict | None = None) -> Examination:
    config = Config.model_validate({"updates": {"max_face_ms": 10_000} | (updates or {})})
    install(slots, str(folder), config.updates)
    return activate(slots, config, waivers)


def failed(examination: Examination) -> list[str]:
    return [check.name for check in examination.checks if not check.passed]


@pytest.fixture(autouse=True)
def tiny_is_current(slots: Slots, versions: Versions) -> None:
    current(slots, versions("0.2.0", quality=QUALITY))


def is_refused(slots: Slots) -> bool:
    """Whether the candidate cannot be committed, and the first bundle still runs."""
    with pytest.raises(UpdateError, match="has not been checked"):
        slots.commit()
    return slots.running().bundle.manifest.version == "0.2.0"


def test_a_good_bundle_passes_every_check(slots: Slots, versions: Versions) -> None:
    examination = activated(slots, versions("0.3.0", quality=QUALITY))
    assert failed(examination) == []
    assert [check.name for check in examination.checks] == ["labels", "quality", "golden", "speed"]
    assert slots.table().candidate.phase == "checked"
    examination.require("tiny 0.3.0")


def relabelled(folder: Path, **changes: object) -> list[dict]:
    labels = open_bundle(folder).manifest.model_dump(mode="json")["labels"]
    labels[3] |= changes
    return labels


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"name": "joyful"}, "happy is missing, joyful is new", id="another name"),
        pytest.param({"polarity": -1}, "happy has another polarity", id="another polarity"),
        pytest.param({"reading": "boredom"}, "happy has another polarity or reading", id="another reading"),
    ],
)
def test_wrong_labels_are_refused(slots: Slots, versions: Versions, changes: dict, says: str) -> None:
    labels = relabelled(versions("0.0.1"), **changes)
    examination = activated(slots, versions("0.3.0", quality=QUALITY, labels=labels))
    assert failed(examination) == ["labels"]
    assert says in slots.table().rejected.reason
    assert is_refused(slots)
    assert failed(activate(slots, CONFIG, ("labels",))) == []
    assert slots.table().candidate.phase == "checked"


def test_a_bundle_that_cannot_tell_a_configured_episode_is_refused_whatever_is_allowed(
    slots: Slots, versions: Versions
) -> None:
    config = Config.model_validate({"episodes": {"thresholds": {"happy": 0.3}}})
    labels = relabelled(versions("0.0.1"), name="joyful")
    install(slots, str(versions("0.3.0", quality=QUALITY, labels=labels)), config.updates)
    with pytest.raises(ConfigurationError, match="happy"):
        activate(slots, config, ("labels",))
    assert is_refused(slots)


def test_the_order_of_the_labels_and_their_valence_may_change(versions: Versions) -> None:
    before = open_bundle(versions("0.2.0")).manifest
    labels = relabelled(versions("0.0.1"), valence=0.9)[::-1]
    after = before.model_copy(update={"labels": tuple(type(before.labels[0])(**label) for label in labels)})
    assert check_labels(after, before).passed


@pytest.mark.parametrize(
    ("old", "new", "limits", "passes"),
    [
        pytest.param(0.7, 0.7, {}, True, id="the same"),
        pytest.param(0.7, 0.69, {}, True, id="a point less"),
        pytest.param(0.7, 0.65, {}, False, id="five points less"),
        pytest.param(0.7, 0.65, {"max_accuracy_drop": 0.06}, True, id="five points less, allowed"),
        pytest.param(0.7, 0.9, {}, True, id="better"),
        pytest.param(0.7, 0.9, {"min_accuracy": 0.95}, False, id="better, but below the floor"),
        pytest.param(0.7, None, {}, False, id="not measured any more"),
        pytest.param(None, 0.5, {}, True, id="measured for the first time"),
        pytest.param(None, None, {}, True, id="never measured"),
        pytest.param(None, None, {"min_accuracy": 0.5}, False, id="never measured, but there is a floor"),
    ],
)
def test_accuracy_that_is_gone_is_refused(
    versions: Versions, old: float | None, new: float | None, limits: dict, passes: bool
) -> None:
    def manifest(version: str, accuracy: float | None):
        quality = {} if accuracy is None else {"quality": QUALITY | {"accuracy": accuracy}}
        return open_bundle(versions(version, **quality)).manifest

    assert (
        check_quality(manifest("0.3.0", new), manifest("0.2.0", old), UpdatesSection(**limits)).passed
        is passes
    )


def test_accuracy_on_other_data_is_not_compared(versions: Versions) -> None:
    new = open_bundle(versions("0.3.0", quality=QUALITY | {"accuracy": 0.4, "data": "harder"})).manifest
    old = open_bundle(versions("0.2.0", quality=QUALITY)).manifest
    assert check_quality(new, old, UpdatesSection()).passed
    assert not check_quality(new, old, UpdatesSection(min_accuracy=0.5)).passed


def test_a_bundle_whose_accuracy_is_gone_is_never_committed(slots: Slots, versions: Versions) -> None:
    assert failed(activated(slots, versions("0.3.0", quality=QUALITY | {"accuracy": 0.3}))) == ["quality"]
    assert is_refused(slots)


def test_golden_outputs_that_do_not_reproduce_here_are_refused(
    slots: Slots, versions: Versions, seal_bundle
) -> None:
    folder = versions("0.3.0")
    with np.load(folder / "golden.npz") as archive:
        arrays = dict(archive)
    np.savez(folder / "golden.npz", **(arrays | {"logits": arrays["logits"] + 0.01}))
    seal_bundle(folder, version="0.3.0", quality=QUALITY)
    assert failed(activated(slots, folder)) == ["golden"]
    assert is_refused(slots)


def slow_network() -> onnx.ModelProto:
    """Eight convolutions of 32 channels on the full crop, whose outcome is multiplied by nothing: 690 M MACs."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["crop"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["float", "axis"], ["x0"]),
    ]
    constants = {"axis": np.array([1], np.int64)}
    for layer in range(8):
        width = 1 if layer == 0 else 32
        constants[f"k{layer}"] = rng.normal(0, 0.05, (32, width, 3, 3)).astype(np.float32)
        nodes.append(
            helper.make_node("Conv", [f"x{layer}", f"k{layer}"], [f"x{layer + 1}"], pads=[1, 1, 1, 1])
        )
    constants |= {"w": np.zeros((32, 7), np.float32), "b": np.arange(7, dtype=np.float32)}
    nodes += [
        helper.make_node("GlobalAveragePool", ["x8"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["features"]),
        helper.make_node("Gemm", ["features", "w", "b"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("crop", TensorProto.UINT8, ["N", 96, 96])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 7])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_network_that_is_too_slow_is_refused(slots: Slots, versions: Versions, seal_bundle) -> None:
    folder = versions("0.3.0")
    onnx.save(slow_network(), folder / "model.fp32.onnx")
    with np.load(folder / "golden.npz") as archive:
        arrays = dict(archive)
    logits = np.tile(np.arange(7, dtype=np.float32), (len(arrays["crops"]), 1))
    np.savez(folder / "golden.npz", **(arrays | {"logits": logits}))
    seal_bundle(folder, version="0.3.0", quality=QUALITY)
    limits = {"max_face_ms": 1.0, "max_slowdown": 2.0}  # the tiny network takes some 0.05 ms
    examination = activated(slots, folder, updates=limits)
    assert failed(examination) == ["speed"]
    assert is_refused(slots)
    activate(slots, Config.model_validate({"updates": {"max_face_ms": 10_000}}))
    assert slots.table().candidate.phase == "checked"


def test_a_byte_that_changed_since_the_install_is_refused(slots: Slots, versions: Versions) -> None:
    candidate = install(slots, str(versions("0.3.0", quality=QUALITY)), CONFIG.updates)
    path = slots.folder / candidate.folder / "model.fp32.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleTamperedError):
        activate(slots, CONFIG)
    assert is_refused(slots)


def test_a_bundle_older_than_the_floor_is_refused(slots: Slots, versions: Versions) -> None:
    with pytest.raises(CandidateRefusedError, match="older than"):
        activated(slots, versions("0.1.9", quality=QUALITY))
    assert slots.table().candidate is None


def test_an_unknown_kind_of_input_is_refused_at_the_install(slots: Slots, versions: Versions) -> None:
    sniffs = [{"kind": "smell", "tensor": "crop", "dtype": "uint8", "shape": [96, 96]}]
    with pytest.raises(BundleError):
        activated(slots, versions("0.3.0", inputs=sniffs))
    assert slots.table().candidate is None


def test_every_reason_is_told_at_once(versions: Versions) -> None:
    labels = relabelled(versions("0.0.1"), name="joyful")
    bad = open_bundle(versions("0.3.0", labels=labels))
    good = open_bundle(versions("0.2.0", quality=QUALITY))
    examination = examine(bad, good, CONFIG.inference, CONFIG.updates)
    assert failed(examination) == ["labels", "quality"]
    with pytest.raises(CandidateRefusedError, match=r"labels: .*; quality: "):
        examination.require("tiny 0.3.0")


def test_a_configuration_that_names_its_bundle_leaves_the_slots_alone(
    slots: Slots, versions: Versions
) -> None:
    install(slots, str(versions("0.3.0")), CONFIG.updates)
    with pytest.raises(UpdateError, match="names its bundle itself"):
        activate(slots, Config.model_validate({"inference": {"bundle": "/x"}}))
