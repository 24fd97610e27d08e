"""StarGAN: one generator for all expressions, to augment peak frames (P3 §4). It never ships to a device.

    face, wanted expression → generator → the same face with that expression
    face → discriminator → real or made, and which expression

After Choi et al. 2018 (§3), small, for aligned grey crops of 48 px. Decisions:

* The generator gives what is added to the face and a mask of where (as GANimation does), so that it starts as the
  identity and need not learn to draw a face in the time there is.
* The adversarial loss is the hinge loss with spectral normalisation instead of WGAN's gradient penalty (their §4.2):
  a step costs half as much.
* What is asked for is drawn evenly from all classes, so that rare expressions are made as often as others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

SIZE_PX: Final = 48  # of a crop: FER2013's own resolution
_CLOSED: Final = -2.0  # added to the mask's logit, so that a fresh generator leaves the face mostly as it is


@dataclass(frozen=True, slots=True)
class StarGanConfig:
    """Sizes, and the weights of the losses (Choi et al. 2018 §4.2 where not said otherwise)."""

    num_classes: int = 7
    width: int = 20  # 64 there, for 128 px in colour
    blocks: int = 3  # 6 there
    class_weight: float = 1.0
    reconstruction_weight: float = 10.0
    mask_weight: float = 0.5  # keeps the mask from covering the whole face; GANimation has such a term


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.inner(x)
        return added


class Generator(nn.Module):
    """A face and the expression that it is to have → that face with it."""

    def __init__(self, config: StarGanConfig) -> None:
        super().__init__()
        width = config.width
        layers: list[nn.Module] = _convolution(1 + config.num_classes, width, 5, 1)
        layers += _convolution(width, 2 * width, 4, 2) + _convolution(2 * width, 4 * width, 4, 2)
        layers += [_Residual(4 * width) for _ in range(config.blocks)]
        for channels in (4 * width, 2 * width):
            layers += [
                nn.Upsample(scale_factor=2.0, mode="nearest"),
                *_convolution(channels, channels // 2, 3, 1),
            ]
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(width, 2, 5, 1, 2)  # a picture, and where it is laid over the face
        nn.init.normal_(self.last.weight, std=0.02)

    def forward(self, faces: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Makes faces.

        Args:
            faces: (B, 1, 48, 48) in [−1, 1].
            wanted: (B, K) one-hot.

        Returns:
            (B, 1, 48, 48) in [−1, 1], and the mask (B, 1, 48, 48) in (0, 1).
        """
        _, _, H, W = faces.shape
        asked = wanted[:, :, None, None].expand(-1, -1, H, W)
        picture, mask = self.last(self.body(torch.cat([faces, asked], dim=1))).chunk(2, dim=1)
        mask = torch.sigmoid(mask + _CLOSED)
        return mask * torch.tanh(picture) + (1 - mask) * faces, mask


class Discriminator(nn.Module):
    """Whether a face is a photograph, patch by patch, and which expression it has."""

    def __init__(self, config: StarGanConfig) -> None:
        super().__init__()
        width = 2 * config.width
        layers: list[nn.Module] = []
        channels = 1
        for _ in range(4):  # 48 → 24 → 12 → 6 → 3
            layers += [spectral_norm(nn.Conv2d(channels, width, 4, 2, 1)), nn.LeakyReLU(0.1, inplace=True)]
            channels, width = width, min(2 * width, 8 * config.width)
        self.body = nn.Sequential(*layers)
        self.source = spectral_norm(nn.Conv2d(channels, 1, 3, 1, 1))
        self.classes = nn.Conv2d(channels, config.num_classes, 3)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, 48, 48) → (B, 1, 3, 3) above 0 where it looks real, and (B, K) logits."""
        maps = self.body(faces)
        return self.source(maps), self.classes(maps).flatten(1)


def discriminator_loss(
    discriminator: Discriminator, real: Tensor, shares: Tensor, made: Tensor, config: StarGanConfig
) -> Tensor:
    """Photographs above 1, made faces below −1, and the photographs' expressions.

    Args:
        discriminator: to be trained.
        real: (B, 1, 48, 48) photographs.
        shares: (B, K) how far each class is true of them.
        made: (B, 1, 48, 48), without a graph behind them.
        config: for the weights.
    """
    of_real, logits = discriminator(real)
    of_made, _ = discriminator(made)
    adversarial = F.relu(1 - of_real).mean() + F.relu(1 + of_made).mean()
    loss: Tensor = adversarial + config.class_weight * F.cross_entropy(logits, shares)
    return loss


def generator_loss(
    generator: Generator,
    discriminator: Discriminator,
    faces: Tensor,
    shares: Tensor,
    wanted: Tensor,
    config: StarGanConfig,
) -> Tensor:
    """Made faces that look real and as wanted, and that lead back to the photograph (Choi et al. 2018 eqs 1–6)."""
    made, mask = generator(faces, wanted)
    of_made, logits = discriminator(made)
    back, _ = generator(made, shares)
    adversarial = config.class_weight * F.cross_entropy(logits, wanted) - of_made.mean()
    kept = config.reconstruction_weight * F.l1_loss(back, faces) + config.mask_weight * mask.mean()
    loss: Tensor = adversarial + kept
    return loss


def _convolution(channels_in: int, channels_out: int, size: int, stride: int) -> list[nn.Module]:
    padding = (size - stride + 1) // 2 if stride > 1 else size // 2
    return [
        nn.Conv2d(channels_in, channels_out, size, stride, padding, bias=False),
        nn.InstanceNorm2d(channels_out, affine=True),
        nn.ReLU(inplace=True),
    ]
