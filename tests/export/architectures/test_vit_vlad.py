import numpy as np
import pytest
import torch

from export.architectures.layers import SequenceTargets
from export.architectures.vit_vlad import (
    NetVlad,
    NonLocal,
    ResidualAttention,
    TransformerLayer,
    VitVladConfig,
    VitVladOutput,
    concordance,
)

TINY = VitVladConfig(
    frames=4, widths=(8, 8, 8), tokens=8, depth=1, heads=2, clusters=3, temporal_depth=1, dropout=0.0
)


def test_netvlad_sums_what_tokens_differ_from_the_centres_by() -> None:
    torch.manual_seed(0)
    vlad = NetVlad(4, clusters=3)
    tokens = torch.randn(2, 5, 4)
    with torch.no_grad():
        found = vlad(tokens).numpy()
        weight, bias, centres = (
            t.double().numpy() for t in (vlad.assign.weight, vlad.assign.bias, vlad.centres)
        )
    for n in range(2):
        residuals = np.zeros((3, 4))
        for token in tokens[n].double().numpy():
            shares = np.exp(weight @ token + bias)
            shares /= shares.sum()
            for k in range(3):
                residuals[k] += shares[k] * (token - centres[k])
        residuals /= np.linalg.norm(residuals, axis=1, keepdims=True)
        np.testing.assert_allclose(found[n], (residuals / np.linalg.norm(residuals)).ravel(), atol=1e-5)


def test_a_non_local_block_adds_what_all_places_give_to_each() -> None:
    torch.manual_seed(0)
    block = NonLocal(4)
    x = torch.randn(1, 4, 2, 3)
    with torch.no_grad():
        query, key, value = (
            part(x)[0].reshape(2, 6).numpy() for part in (block.query, block.key, block.value)
        )
        found = block(x)[0].numpy()
        back, bias = block.back.weight[:, :, 0, 0].numpy(), block.back.bias.numpy()  # type: ignore[union-attr]
    for u in range(6):
        related = np.exp([query[:, u] @ key[:, k] / np.sqrt(2) for k in range(6)])
        gathered = sum(related[k] / related.sum() * value[:, k] for k in range(6))
        place = np.unravel_index(u, (2, 3))
        expected = x[0, :, place[0], place[1]].numpy() + back @ gathered + bias
        np.testing.assert_allclose(found[:, place[0], place[1]], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("logit", "factor"), [(0.0, 1.5), (40.0, 2.0), (-40.0, 1.0)], ids=["half", "open", "closed"]
)
def test_the_mask_adds_to_the_trunk_and_never_takes_away(logit: float, factor: float) -> None:
    block = ResidualAttention(3, 4, stride=2).eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        block.mask.weight.zero_()
        block.mask.bias.fill_(logit)  # type: ignore[union-attr]
        torch.testing.assert_close(block(x), factor * block.trunk(x))


def test_a_transformer_layer_is_torchs_own() -> None:
    torch.manual_seed(0)
    ours = TransformerLayer(8, heads=2, dropout=0.0).eval()
    theirs = torch.nn.TransformerEncoderLayer(
        8, 2, 16, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(ours.qkv.weight)
        theirs.self_attn.in_proj_bias.copy_(ours.qkv.bias)
        theirs.self_attn.out_proj.load_state_dict(ours.out.state_dict())
        theirs.linear1.load_state_dict(ours.inner.state_dict())
        theirs.linear2.load_state_dict(ours.outer.state_dict())
        x = torch.randn(3, 5, 8)
        torch.testing.assert_close(ours(x), theirs.train()(x), atol=1e-5, rtol=1e-4)


def test_frames_encoded_one_by_one_give_what_the_whole_sequence_gives() -> None:
    torch.manual_seed(0)
    network = TINY.network().eval()
    crops = torch.randn(2, 4, 1, 96, 96)
    with torch.no_grad():
        whole = network(crops)
        cached = torch.stack([network.encode(crops[:, s]) for s in range(4)], dim=1)
        stepwise = network.head(cached)
    assert cached.shape == (2, 4, TINY.feature_length)
    for one, other in zip(whole, stepwise, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert whole.valence_arousal.abs().max() < 1


def test_the_order_of_the_frames_matters() -> None:
    torch.manual_seed(0)
    network = TINY.network().eval()
    sequence = torch.randn(1, 4, TINY.feature_length)
    with torch.no_grad():
        there, back = network.head(sequence).logits, network.head(sequence.flip(1)).logits
    assert (there - back).abs().max() > 1e-3


def test_concordance_by_hand() -> None:
    # Means 2 and 3, variances 2/3 and 8/3, covariance 4/3: 2·4/3 / (2/3 + 8/3 + 1) = 8/13.
    found, wanted = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.0], [3.0], [5.0]])
    assert concordance(found, wanted).item() == pytest.approx(8 / 13, abs=1e-6)
    assert concordance(wanted, wanted).item() == pytest.approx(1, abs=1e-6)
    assert concordance(-wanted + 6, wanted).item() == pytest.approx(-1, abs=1e-6)


def test_the_loss_has_three_parts_and_that_of_the_dimensions() -> None:
    torch.manual_seed(0)
    labels = torch.nn.functional.one_hot(torch.tensor([0, 6]), 7).float()
    frame_labels = torch.nn.functional.one_hot(torch.tensor([[0, 1], [6, 6]]), 7).float()
    wanted = torch.tensor([[0.5, 0.1], [-0.5, 0.3]])
    output = VitVladOutput(torch.randn(2, 7), wanted + 0.1, torch.randn(2, 2, 7), torch.randn(2, 2, 7))
    found = VitVladConfig(frame_weight=0.6, vlad_weight=0.2).objective(("a",) * 7)(
        output, SequenceTargets(labels, frame_labels, wanted)
    )

    def surprise(logits: torch.Tensor, rows: torch.Tensor) -> float:
        return -(torch.log_softmax(logits, dim=-1) * rows).sum(-1).mean().item()

    expected = surprise(output.logits, labels)
    expected += 0.3 * surprise(output.frame_logits, frame_labels)
    expected += 0.1 * surprise(output.vlad_logits, frame_labels)
    # Off by 0.1 everywhere: the square is 0.01; CCC is 2·v / (2·v + 0.01) with variances 0.25 and 0.01.
    agreement = np.mean([2 * v / (2 * v + 0.01) for v in (0.25, 0.01)])
    expected += 0.01 + 0.5 * (1 - agreement)
    assert found.item() == pytest.approx(expected, abs=1e-4)
