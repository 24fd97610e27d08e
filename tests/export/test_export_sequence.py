"""Both networks of sequences become bundles: two graphs that give torch's full computation, in every engine, cached."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edge_runtime.bundle import open_bundle
from edge_runtime.cli import app
from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleError, EngineError, RoomtoneError
from edge_runtime.faces.alignment import LOOSE_TEMPLATE
from edge_runtime.faces.labelled import FER_LABELS
from edge_runtime.inference.opening import open_engine
from edge_runtime.landmark_bundle import open_landmarks, packaged_landmarks_path
from export.architectures import SEQUENCE_ARCHITECTURES, configure_sequence
from export.checkpoints import save_checkpoint
from export.deploy_sequence import deploy_sequence, dissolves, stand_ins
from export.pipeline import export_bundle
from export.trained import ExportRequest
from export.training.sequences.recipe import SequenceRecipe

# Not four frames: OpenVINO's fused attention is wrong where a head has as many steps as there are heads, which the
# goldens find.
SMALL = {
    "attention_fusion_edge": {"frames": 5, "embedding": 16, "hidden": 8, "merged": 8},
    "vit_vlad_edge": {"frames": 5},
}


def seeded(architecture, changes):
    torch.manual_seed(3)
    network = configure_sequence(architecture, 7, changes).network()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 2.0)
    return network.eval()


def checkpoint_of(folder, architecture, changes):
    recipe = SequenceRecipe(architecture, changes, stride_s=0.5)
    path = folder / "checkpoint.safetensors"
    facts = {"recipe": recipe.to_json(), "labels": list(FER_LABELS), "epochs_done": 0}
    save_checkpoint(path, dict(seeded(architecture, changes).state_dict()), facts)
    return path


@pytest.fixture(scope="module", params=SMALL)
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = checkpoint_of(folder, request.param, SMALL[request.param])
    wanted = ExportRequest(request.param, checkpoint, folder / "bundle", name="sequences")
    return export_bundle(wanted), request.param


def test_both_graphs_agree_with_torch_in_both_engines_at_each_batch(exported):
    result, _ = exported
    hops = {(row.hop, row.data) for row in result.parity}
    assert len(hops) == 2 * 2 * 2  # hops, kinds of data, graphs
    assert len(result.graphs) == 2
    for row in result.parity:
        assert row.difference < 1e-3, row


def test_every_variant_gives_the_goldens_of_the_full_computation_from_cached_frames(exported):
    result, _ = exported
    assert [(row.report.backend, row.report.precision) for row in result.variants] == [
        ("onnxruntime", "fp32"),
        ("openvino", "fp32"),
        ("openvino", "bf16"),
    ]
    for row in result.variants[:2]:
        assert row.golden_difference < 1e-3


def test_without_a_name_the_bundle_has_the_networks_own(tmp_path):
    checkpoint = checkpoint_of(tmp_path, "vit_vlad_edge", SMALL["vit_vlad_edge"])
    request = ExportRequest("vit_vlad_edge", checkpoint, tmp_path / "bundle")
    assert request.read().name == "vit-vlad-edge"
    assert ExportRequest("hafnet_half", checkpoint, tmp_path / "bundle").bundle_name == "default"


def test_the_manifest_holds_the_sequence(exported):
    result, architecture = exported
    manifest, config = result.bundle.manifest, configure_sequence(architecture, 7, SMALL[architecture])
    part = manifest.sequence
    assert (part.frames, part.stride_s, part.feature_length) == (5, 0.5, config.feature_length)
    assert tuple(spec.kind for spec in manifest.inputs) == config.inputs
    assert tuple(spec.kind for spec in manifest.outputs) == config.outputs
    assert manifest.wants_landmarks == (architecture == "attention_fusion_edge")
    assert {variant.head_precision for variant in manifest.variants} == {"fp32"}
    assert manifest.architecture.parameters == sum(p.numel() for p in config.network().parameters())
    assert "stride 0.5" in manifest.provenance["train_command"]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_face_that_moves_is_read_frame_by_frame_as_torch_reads_the_whole(exported, backend):
    result, architecture = exported
    config = configure_sequence(architecture, 7, SMALL[architecture])
    network = seeded(architecture, SMALL[architecture])
    whole, _ = deploy_sequence(network, config, LOOSE_TEMPLATE, 0.5)
    ends = np.random.default_rng(1).integers(0, 256, (2, 96, 96), np.uint8)
    frames = dissolves(ends, 9, 1)[0]  # more than a sequence
    engine = open_engine(result.bundle, InferenceSection(backend=backend)).engine
    features = [engine.encode(frame[None], stand_ins(config.inputs, frame[None])) for frame in frames]
    for end in range(5, 10):
        window = np.concatenate(features[end - 5 : end])[None]
        with torch.inference_mode():
            wanted = whole(*whole.made_of(frames[None, end - 5 : end]))[0].numpy()
        np.testing.assert_allclose(engine.head(window)[0], wanted, atol=1e-3)


def test_the_command_exports_a_sequence(tmp_path):
    architecture = "vit_vlad_edge"
    checkpoint = checkpoint_of(tmp_path, architecture, SMALL[architecture])
    out = tmp_path / "bundle"
    arguments = ["export", architecture, "--checkpoint", str(checkpoint), "--out", str(out), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["graph"]["size_bytes"] > facts["head_graph"]["size_bytes"] * 0.1
    shown = CliRunner().invoke(app, ["bundle", "show", str(out)])
    assert "sequence    5 frames, 0.5 s apart" in shown.stdout


def test_a_bundle_may_bring_its_landmark_network_and_says_which_it_is_fed_from(tmp_path, monkeypatch):
    architecture = "attention_fusion_edge"
    checkpoint = checkpoint_of(tmp_path, architecture, SMALL[architecture])
    arguments = ["export", architecture, "--checkpoint", str(checkpoint), "--out"]
    plain, whole = tmp_path / "plain", tmp_path / "whole"
    done = CliRunner().invoke(app, [*arguments, str(plain)])
    assert "which ships with roomtone" in done.stdout, done.output
    own = ["--landmarks", str(packaged_landmarks_path()), "--json"]
    done = CliRunner().invoke(app, [*arguments, str(whole), *own])
    assert "is part of the bundle" in json.loads(done.stdout)["landmarks"]
    assert open_landmarks(whole / open_bundle(whole).manifest.landmarks).manifest.quality is not None
    # A device whose own network is damaged runs the one that brings its own, and verify says which cannot run.
    monkeypatch.setattr("edge_runtime.landmark_bundle.packaged_landmarks_path", lambda: tmp_path / "nowhere")
    verified = CliRunner().invoke(app, ["bundle", "verify", str(whole)])
    assert (verified.exit_code, "landmarks: ok" in verified.stdout) == (0, True)
    refused = CliRunner().invoke(app, ["bundle", "verify", str(plain), "--json"])
    assert json.loads(refused.stdout)["landmarks"]["result"] == "wrong"
    assert isinstance(refused.exception, EngineError)


def test_landmarks_for_a_network_of_crops_alone_are_refused_before_any_work(tmp_path):
    request = ExportRequest(
        "vit_vlad_edge", checkpoint_of(tmp_path, "vit_vlad_edge", {"frames": 5}), tmp_path / "b"
    )
    with pytest.raises(RoomtoneError, match="vit_vlad_edge takes crop"):
        export_bundle(request, landmarks=packaged_landmarks_path())
    with pytest.raises(BundleError, match=r"landmarks\.json cannot be read"):
        export_bundle(request, landmarks=tmp_path / "nowhere")
    assert not (tmp_path / "b").exists()


def test_a_checkpoint_of_another_network_is_named(tmp_path):
    checkpoint = checkpoint_of(tmp_path, "vit_vlad_edge", SMALL["vit_vlad_edge"])
    request = ExportRequest("attention_fusion_edge", checkpoint, tmp_path / "bundle")
    with pytest.raises(RoomtoneError, match="was trained as vit_vlad_edge"):
        export_bundle(request)
    with pytest.raises(RoomtoneError, match="no recipe"):
        export_bundle(replace(request, architecture="hafnet_half"))


def test_every_network_of_sequences_can_be_named():
    from export.sequence_cli import SEQUENCE_NETWORKS

    assert set(SEQUENCE_NETWORKS) == set(SEQUENCE_ARCHITECTURES)
