from pathlib import Path

import numpy as np
import pytest
from calibration_parts import FacesFile, write_faces, write_linear_bundle

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.inference.opening import Choice, open_engine


@pytest.fixture(scope="session")
def faces_file(tmp_path_factory: pytest.TempPathFactory) -> FacesFile:
    return write_faces(tmp_path_factory.mktemp("faces") / "drawn.npz")


@pytest.fixture(scope="session")
def bundle(faces_file: FacesFile, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles") / "linear"
    write_linear_bundle(folder, faces_file)
    return open_bundle(folder)


@pytest.fixture(scope="session")
def choice(bundle: Bundle) -> Choice:
    return open_engine(bundle, InferenceSection())


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "calibrated"
