from pathlib import Path

import numpy as np
import pytest
import torch
from export_parts import TINY, drawn_faces, make_network

from edge_runtime.bundle import open_bundle
from edge_runtime.faces.alignment import LOOSE_TEMPLATE
from edge_runtime.faces.labelled import FER_LABELS
from edge_runtime.faces.precut import align_precut
from export.architectures.hafnet import HafnetConfig
from export.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from export.deploy import DeployedNetwork, network_inputs
from export.parity import torch_logits
from export.pipeline import export_bundle
from export.trained import ExportRequest
from export.training.recipe import Recipe
from export.training.starting import start_from
from export.training.trainer import Trainer


@pytest.fixture(scope="module")
def trained(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No two tensors are alike, as after training; the export keeps one of equal ones."""
    weights = dict(make_network().state_dict())
    generator = torch.Generator().manual_seed(1)
    for name, tensor in weights.items():
        if tensor.ndim == 1 and not name.endswith("running_var"):
            weights[name] = tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
    path = tmp_path_factory.mktemp("trained") / "checkpoint.safetensors"
    save_checkpoint(path, weights, load_checkpoint(checkpoint).facts)
    return path


@pytest.fixture(scope="module")
def bundle(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "tiny"
    export_bundle(ExportRequest(TINY, trained, out, name="tiny"))
    return out


@pytest.fixture(scope="module")
def examples() -> list[torch.Tensor]:
    faces = drawn_faces(64, seed=5)
    return network_inputs(("crop",), align_precut(faces.images, faces.located, LOOSE_TEMPLATE))


def test_a_bundles_weights_give_its_golden_outputs_again(bundle: Path, examples: list[torch.Tensor]) -> None:
    network = make_network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    assert start_from(network, bundle, examples, 7).startswith("tiny 0.1.0 ")
    golden = open_bundle(bundle).golden
    found = torch_logits(DeployedNetwork(network).eval(), golden.crops)
    np.testing.assert_allclose(found, golden.logits, atol=1e-4)


def test_norms_that_were_folded_away_normalise_again(bundle: Path, examples: list[torch.Tensor]) -> None:
    network = make_network()
    start_from(network, bundle, examples, 7)
    with torch.no_grad():
        frozen = network.eval()(*examples).logits
        free = network.train()(*examples).logits  # by the statistics of the batch itself
    # One norm of the spatial unit was not folded and keeps statistics that are not this batch's.
    assert (free - frozen).abs().mean() < 0.35 * frozen.std()


def test_a_checkpoint_is_taken_as_it_is(checkpoint: Path, examples: list[torch.Tensor]) -> None:
    network = make_network()
    with torch.no_grad():
        network.classifier.weight.zero_()
    assert start_from(network, checkpoint, examples, 7) == checkpoint.name
    torch.testing.assert_close(network.state_dict(), load_checkpoint(checkpoint).weights)


def test_another_class_count_of_a_bundle_is_named(bundle: Path, examples: list[torch.Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"classifier\.weight is \(7, 64\), not \(8, 64\)"):
        start_from(make_network(num_classes=8), bundle, examples, 8)


def test_a_checkpoint_of_other_classes_lends_all_but_its_head(
    checkpoint: Path, examples: list[torch.Tensor]
) -> None:
    network, weights = make_network(num_classes=8), load_checkpoint(checkpoint).weights
    head = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        network.backbone[0].weight.zero_()
    told = start_from(network, checkpoint, examples, 8)
    assert told.startswith("checkpoint.safetensors; another set of classes: ")
    for name, tensor in network.state_dict().items():
        is_of_classes = name.startswith(("classifier.", "norm.")) and tensor.ndim > 0
        torch.testing.assert_close(tensor, head[name] if is_of_classes else weights[name])


def test_blocks_that_are_narrower_inside_keep_their_strongest_channels(
    tmp_path: Path, examples: list[torch.Tensor]
) -> None:
    wide = make_network()
    torch.manual_seed(4)
    weak = torch.randperm(64)[
        :48
    ]  # of 64 inside the fourth stage: set to nothing, so that nothing is lost without them
    with torch.no_grad():
        for block in list(wide.backbone)[-2:]:
            block.norm1.weight[weak] = 0.0
            block.norm1.bias[weak] = 0.0
    save_checkpoint(tmp_path / "wide.safetensors", dict(wide.state_dict()), {"labels": list(FER_LABELS)})
    narrow = HafnetConfig(7, width=8, heads=2, last_inner=16).network()
    told = start_from(narrow, tmp_path / "wide.safetensors", examples, 7)
    assert told == "wide.safetensors; the strongest channels of 2 blocks"
    with torch.no_grad():
        expected, found = (network.eval()(*examples).logits for network in (wide, narrow))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_another_network_is_refused_whatever_its_classes(
    checkpoint: Path, examples: list[torch.Tensor]
) -> None:
    wider = HafnetConfig(8, width=16, heads=2).network()
    with pytest.raises(CheckpointError, match="of another shape"):
        start_from(wider, checkpoint, examples, 8)


def test_a_run_says_what_it_started_from(checkpoint: Path, tmp_path: Path) -> None:
    faces = drawn_faces(16, seed=1)
    recipe = Recipe(architecture=TINY, epochs=1, batch_size=8)
    Trainer(recipe, faces, faces, tmp_path, start=checkpoint).run(lambda now: None, lambda row: None)
    assert load_checkpoint(tmp_path / "checkpoint.safetensors").facts["started_from"] == checkpoint.name
