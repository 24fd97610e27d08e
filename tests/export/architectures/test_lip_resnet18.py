import numpy as np
import pytest
import torch

from edge_runtime.faces.labelled import FER_LABELS
from export.architectures.lip_resnet18 import (
    GroupAttention,
    LipOutput,
    LipResnet18Config,
    LocalImportancePooling,
    StyleRecalibration,
)
from export.deploy import DeployedNetwork, normalise


@pytest.mark.parametrize("side", [1, 4, 5], ids=["one place", "even", "odd"])
def test_local_importance_pooling_is_the_weighted_mean_of_each_window(side: int) -> None:
    torch.manual_seed(0)
    pool = LocalImportancePooling(3, 6.0).eval()
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        if side == 1:  # an instance norm needs more than one place
            pool.logit = torch.nn.Conv2d(3, 3, 1)  # type: ignore[assignment]
        weight, pooled = pool.weights(x).double().numpy(), pool(x).numpy()
    values = x.double().numpy()
    expected = np.zeros_like(pooled, dtype=np.float64)
    for b, c, i, j in np.ndindex(expected.shape):
        above = below = 0.0
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                y, z = 2 * i + di, 2 * j + dj
                if 0 <= y < side and 0 <= z < side:
                    above += weight[b, c, y, z] * values[b, c, y, z]
                    below += weight[b, c, y, z]
        expected[b, c, i, j] = above / below
    np.testing.assert_allclose(pooled, expected, atol=1e-5)


def test_importance_is_bounded_whatever_the_map_holds() -> None:
    pool = LocalImportancePooling(2, 6.0)
    with torch.no_grad():
        x = torch.zeros(1, 2, 16, 16)
        x[:, :, 3, 3] = 1e6  # one place, far from all others
        weight, pooled = pool.weights(x), pool(x)
    assert weight.min() >= np.exp(-6) * (1 - 1e-6)
    assert weight.max() <= np.exp(6) * (1 + 1e-6)
    assert torch.isfinite(pooled).all()


def test_equal_importance_is_average_pooling() -> None:
    pool = LocalImportancePooling(2, 6.0)
    x = torch.randn(1, 2, 6, 6)
    with torch.no_grad():
        pool.logit[1].weight.zero_()
        average = torch.nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        torch.testing.assert_close(pool(x), average)


def test_attention_is_highest_where_a_group_is_like_its_mean() -> None:
    attention = GroupAttention(4, groups=2)
    with torch.no_grad():
        attention.scale.fill_(1.0)
        x = torch.ones(1, 4, 3, 3)
        x[:, :2, 1, 1] = -1.0  # the first group is unlike itself in the middle, the second is even
        weight = attention(x) / x
    middle, corner = weight[0, 0, 1, 1].item(), weight[0, 0, 0, 0].item()
    assert middle < corner
    # By hand: likeness is 2·7/9 at eight places and −2·7/9 in the middle.
    likeness = np.full(9, 14 / 9)
    likeness[4] *= -1
    normal = (likeness - likeness.mean()) / likeness.std()
    expected = 1 / (1 + np.exp(-(normal + 1)))
    assert middle == pytest.approx(expected[4], abs=1e-4)
    assert corner == pytest.approx(expected[0], abs=1e-4)
    even = weight[0, 2]
    torch.testing.assert_close(even, even[:1, :1].expand(3, 3))


def test_recalibration_weighs_each_channel_by_its_own_mean_and_deviation() -> None:
    unit = StyleRecalibration(2).eval()
    with torch.no_grad():
        unit.of_mean.copy_(torch.tensor([0.5, -1.0]))
        unit.of_deviation.copy_(torch.tensor([2.0, 0.25]))
        x = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])  # means 2 and 2, deviations 1 and 2
        weight = (unit(x) / x)[0, :, 0, 1]
    style = np.array([2 * 0.5 + 1 * 2.0, 2 * -1.0 + 2 * 0.25])
    np.testing.assert_allclose(weight.numpy(), 1 / (1 + np.exp(-style)), atol=1e-4)


def test_the_dimensional_head_is_drawn_to_the_place_of_the_class() -> None:
    objective = LipResnet18Config(width=8, groups=4).objective(FER_LABELS)
    targets = torch.zeros(1, 7)
    targets[0, FER_LABELS.index("happy")] = 1
    there, elsewhere = torch.tensor([[0.76, 0.48, 0.35]]), torch.tensor([[-0.76, 0.48, 0.35]])
    logits, features = torch.zeros(1, 7), torch.zeros(1, 3)
    losses = [objective(LipOutput(logits, features, place), targets).item() for place in (there, elsewhere)]
    assert losses[0] == pytest.approx(np.log(7))
    assert losses[1] - losses[0] == pytest.approx(0.5 * (2 * 0.76) ** 2 / 3, abs=1e-5)


def test_a_device_is_given_the_dimensions_beside_the_logits() -> None:
    config = LipResnet18Config(width=8, groups=4)
    network = DeployedNetwork(config.network(), config.inputs, config.outputs).eval()
    crops = torch.randint(0, 256, (3, 96, 96), dtype=torch.uint8)
    with torch.no_grad():
        logits, valence_arousal, dominance = network(crops)
        inner = network.network(normalise(crops))
    assert config.outputs == ("logits", "valence_arousal", "dominance")
    torch.testing.assert_close(logits, inner.logits)
    torch.testing.assert_close(torch.cat([valence_arousal, dominance], dim=1), inner.dimensions)
    assert inner.dimensions.abs().max() < 1
