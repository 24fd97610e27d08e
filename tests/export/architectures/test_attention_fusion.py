from dataclasses import replace

import numpy as np
import pytest
import torch

from export.architectures import configure_sequence
from export.architectures.attention_fusion import (
    AttentionFusion,
    AttentionFusionConfig,
    ConvolutionalAttention,
    KnownNorm,
    SelfAttention,
    WeightAttention,
)
from export.architectures.layers import SequenceTargets
from export.cost import measure_cost

TINY = AttentionFusionConfig(
    frames=4, convolutions=(4, 4, 4, 4, 4), embedding=8, hidden=6, merged=5, dropout=0.0
)


def network(config: AttentionFusionConfig = TINY) -> AttentionFusion:
    torch.manual_seed(1)
    made = config.network()
    with torch.no_grad():
        made.balance.normal_()
        for part in made.modules():
            if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                part.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
                part.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return made.eval()


def frames(clips: int, config: AttentionFusionConfig = TINY) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(2)
    M = config.frames
    distances = torch.rand(clips, M, 38) + 0.1
    distances[:, 1] = 0  # nobody knows the landmarks of the second frame
    return torch.randn(clips, M, 1, 96, 96), distances, torch.rand(clips, M, 413) / 59


def test_self_attention_sums_all_frames_by_how_they_relate() -> None:
    attention = SelfAttention(3)
    x = torch.randn(2, 4, 3)
    with torch.no_grad():
        query, key, value = (
            part(x).double().numpy() for part in (attention.query, attention.key, attention.value)
        )
        found = attention(x).numpy()
    for n, s in np.ndindex(2, 4):
        related = np.exp([query[n, s] @ key[n, u] / np.sqrt(3) for u in range(4)])
        expected = sum(related[u] / related.sum() * value[n, u] for u in range(4))
        np.testing.assert_allclose(found[n, s], expected, atol=1e-5)


def test_weight_attention_is_a_weighted_mean_of_the_steps() -> None:
    attention = WeightAttention(4)
    x = torch.randn(1, 5, 4)
    with torch.no_grad():
        first, _, last = attention.score
        scores = [
            float(last.weight[0] @ torch.tanh(first.weight @ step + first.bias) + last.bias) for step in x[0]
        ]
        found = attention(x)[0].numpy()
    weights = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(found, weights @ x[0].numpy(), atol=1e-5)


def test_convolutional_attention_weighs_the_frames_at_each_place() -> None:
    attention = ConvolutionalAttention(2)
    with torch.no_grad():
        attention.score.weight.zero_()
        attention.score.weight[0, 0, 1, 1] = 1  # a frame's weight is the first channel at that place
        attention.score.bias.zero_()
        maps = torch.randn(2, 3, 2, 4, 4)
        weights = attention(maps)
    np.testing.assert_allclose(weights.sum(dim=1).numpy(), 1, atol=1e-6)
    first = np.exp(maps[:, :, 0].numpy())
    np.testing.assert_allclose(weights[:, :, 0].numpy(), first / first.sum(axis=1, keepdims=True), atol=1e-6)


def test_the_answer_lies_between_both_branches_by_the_learned_weights() -> None:
    """Eq. 16: D = ½ (Q₁P₁ + Q₂P₂), with Q₁ + Q₂ = 2 for each class."""
    made = network()
    with torch.no_grad():
        output = made(*frames(3))
        first, second = (torch.softmax(branch, dim=1).numpy() for branch in (output.shallow, output.deep))
        q = np.exp(made.balance.numpy())
    q = 2 * q / q.sum(axis=0)
    np.testing.assert_allclose(np.exp(output.logits.numpy()), (q[0] * first + q[1] * second) / 2, atol=1e-5)


def test_frames_encoded_one_by_one_give_what_the_whole_sequence_gives() -> None:
    made = network()
    crops, distances, lbp = frames(2)
    with torch.no_grad():
        whole = made(crops, distances, lbp).logits
        cached = torch.stack(
            [made.encode(crops[:, s], distances[:, s], lbp[:, s]) for s in range(TINY.frames)], dim=1
        )
        stepwise = made.head(cached).logits
    assert cached.shape == (2, TINY.frames, TINY.feature_length)
    torch.testing.assert_close(whole, stepwise, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["self_attention", "weight_attention", "convolutional_attention"])
def test_each_attention_can_be_switched_off(name: str) -> None:
    full, less = network(), network(replace(TINY, **{name: False}))
    gone = {key.partition(".")[0] for key in full.state_dict()} - {
        key.partition(".")[0] for key in less.state_dict()
    }
    assert gone == {"attention" if name == "convolutional_attention" else name}
    with torch.no_grad():
        assert less(*frames(2)).logits.isfinite().all()


def test_with_no_attention_the_weights_of_all_frames_are_equal() -> None:
    config = replace(TINY, weight_attention=False, convolutional_attention=False)
    made = network(config)
    maps = torch.randn(1, 4, 4, 6, 6)
    shallow = torch.zeros(1, 4, config.shallow_length)
    sequence = torch.cat([maps.flatten(2), shallow], dim=2)
    with torch.no_grad():
        merged = torch.nn.functional.conv2d(maps.reshape(1, 16, 6, 6) / 4, made.merge[0].weight)
        expected = made.deep(made.merge[2](made.merge[1](merged)).flatten(1))
        torch.testing.assert_close(made.head(sequence).deep, expected)


def test_an_unknown_distance_is_the_mean_and_teaches_nothing() -> None:
    norm = KnownNorm(2)
    known = torch.tensor([[1.0, 4.0], [3.0, 8.0]])
    norm(torch.cat([known, torch.zeros(5, 2)]))
    norm.eval()
    torch.testing.assert_close(norm.mean, torch.tensor([2.0, 6.0]))
    torch.testing.assert_close(norm.variance, torch.tensor([2.0, 8.0]))  # of two values, unbiased
    found = norm(torch.tensor([[0.0, 0.0], [2.0 + 2**0.5, 6.0], [100.0, 6.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]]), atol=1e-4, rtol=0)


def test_a_batch_without_known_landmarks_leaves_the_statistics_alone() -> None:
    norm = KnownNorm(2)
    norm(torch.zeros(4, 2))
    assert (norm.mean.tolist(), norm.variance.tolist(), norm.seen.item()) == ([0, 0], [1, 1], 0)


def test_the_loss_holds_each_branch_to_the_label_too() -> None:
    made = network()
    with torch.no_grad():
        output = made(*frames(2))
    labels = torch.nn.functional.one_hot(torch.tensor([0, 3]), 7).float()
    targets = SequenceTargets(labels, labels[:, None].expand(-1, 4, -1), torch.zeros(2, 2))
    found = TINY.objective(("a",) * 7)(output, targets).item()
    surprise = [
        -torch.log_softmax(part, dim=1)[[0, 1], [0, 3]].mean().item()
        for part in (output.logits, output.shallow, output.deep)
    ]
    assert found == pytest.approx(surprise[0] + 0.5 * (surprise[1] + surprise[2]), abs=1e-5)


def test_the_devices_size_encodes_a_frame_with_some_thirty_million_multiply_adds() -> None:
    config = configure_sequence("attention_fusion_edge", 7)
    made = config.network()

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = made

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return made.encode(*inputs)  # type: ignore[operator]

    cost = measure_cost(Encoder(), torch.zeros(1, 1, 96, 96), torch.zeros(1, 38), torch.zeros(1, 413))
    assert 25e6 < cost.multiply_adds < 40e6
    assert cost.parameters < 0.7e6
