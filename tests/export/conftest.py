from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from export_parts import TINY, make_network, tiny_config

from edge_runtime.faces.alignment import LOOSE_TEMPLATE
from edge_runtime.faces.labelled import FER_LABELS
from export.architectures import ARCHITECTURES
from export.checkpoints import save_checkpoint
from export.deploy import DeployedNetwork
from export.probes import face_crops, noise_crops
from export.training.recipe import Recipe


@pytest.fixture(scope="session", autouse=True)
def _tiny_architecture() -> Iterator[None]:
    """A network like the shipped one, small enough for tests, under a name that the commands find."""
    torch.set_num_threads(1)
    ARCHITECTURES[TINY] = tiny_config
    yield
    del ARCHITECTURES[TINY]


@pytest.fixture(scope="session")
def deployed() -> DeployedNetwork:
    return DeployedNetwork(make_network()).eval()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "checkpoint.safetensors"
    recipe = Recipe(architecture=TINY, template="loose", epochs=2)
    facts = {"recipe": recipe.to_json(), "labels": list(FER_LABELS), "epochs_done": 2, "torch": "2.13.0"}
    save_checkpoint(path, dict(make_network().state_dict()), facts)
    return path


@pytest.fixture(scope="session")
def probes() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    return {"faces": face_crops(8, LOOSE_TEMPLATE, rng), "noise": noise_crops(8, LOOSE_TEMPLATE, rng)}
