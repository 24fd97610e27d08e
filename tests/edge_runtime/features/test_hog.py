import numpy as np
import pytest

from edge_runtime.features.hog import hog


def by_hand(image: np.ndarray) -> np.ndarray:
    """P4 §3.2 in plain numpy: gamma, gradients, cells with votes shared between two directions, blocks."""
    values = np.sqrt(image.astype(np.float64))
    gx, gy = np.zeros_like(values), np.zeros_like(values)
    gx[:, 1:-1] = values[:, 2:] - values[:, :-2]
    gy[1:-1] = values[2:] - values[:-2]
    magnitude, angle = np.hypot(gx, gy), np.degrees(np.arctan2(gy, gx)) % 180
    cells = np.zeros((8, 8, 9))
    for y, x in np.ndindex(64, 64):
        place = angle[y, x] / 20 - 0.5
        low = int(np.floor(place))
        cells[y // 8, x // 8, low % 9] += magnitude[y, x] * (1 - (place - low))
        cells[y // 8, x // 8, (low + 1) % 9] += magnitude[y, x] * (place - low)
    blocks = np.stack([cells[y : y + 2, x : x + 2] for y in range(7) for x in range(7)]).reshape(49, -1)
    blocks /= np.linalg.norm(blocks, axis=1, keepdims=True) + 1e-6
    blocks = blocks.clip(max=0.2)
    return blocks / (np.linalg.norm(blocks, axis=1, keepdims=True) + 1e-6)


def directions(features: np.ndarray) -> np.ndarray:
    """Mean of each of the 9 directions over all cells of all blocks."""
    return features.reshape(-1, 9).mean(axis=0)


@pytest.fixture
def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    waves = sum(
        rng.uniform(10, 25) * np.sin(x * rng.normal(0, 0.2) + y * rng.normal(0, 0.2)) for _ in range(4)
    )
    return (128 + waves).clip(0, 255).astype(np.uint8)


def test_a_crop_has_1764_numbers_and_no_crop_has_none() -> None:
    assert hog(np.zeros((2, 96, 96), np.uint8)).shape == (2, 1764)
    assert hog(np.empty((0, 96, 96), np.uint8)).shape == (0, 1764)


def test_it_is_nearly_what_the_paper_describes(picture: np.ndarray) -> None:
    # OpenCV also shares a pixel between neighbouring cells and weighs a block's middle more, hence “nearly”.
    found = directions(hog(picture[None])[0])
    np.testing.assert_allclose(found, directions(by_hand(picture)), atol=0.02)


@pytest.mark.parametrize(("axis", "bins"), [(1, (0, 8)), (0, (4,))], ids=["edges upright", "edges level"])
def test_stripes_have_one_direction(axis: int, bins: tuple[int, ...]) -> None:
    ramp = (127.5 + 100 * np.sin(np.arange(64) * 0.7)).astype(np.uint8)
    stripes = np.broadcast_to(ramp if axis == 1 else ramp[:, None], (64, 64)).copy()
    shares = directions(hog(stripes[None])[0])
    assert shares[list(bins)].sum() > 0.95 * shares.sum()


def test_light_changes_little(picture: np.ndarray) -> None:
    # With gamma 0.5 half the light scales all gradients by √½, and each block is normalised.
    darker = (picture.astype(float) / 2).round().astype(np.uint8)
    features, in_less_light, mirrored = hog(np.stack([picture, darker, picture[:, ::-1]]))
    assert np.abs(features - in_less_light).mean() < 0.2 * np.abs(features - mirrored).mean()
