import numpy as np
import pytest
import torch

from export.training.mixing import mix
from export.training.recipe import Recipe

# Image i is i everywhere, and so is its target's position: a mixture's pixels tell its target.
IMAGES = torch.arange(6.0)[:, None, None, None].expand(6, 1, 8, 8)
TARGETS = torch.eye(6)


def mixed(recipe: Recipe, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    images, (targets, again) = mix(IMAGES, [TARGETS, TARGETS], recipe, np.random.default_rng(seed))
    torch.testing.assert_close(targets, again)
    return images, targets


@pytest.mark.parametrize("recipe", [Recipe(mixup=0.4), Recipe(cutmix=1.0)], ids=["mixup", "cutmix"])
def test_a_target_has_the_share_of_each_image_that_is_in_the_mixture(recipe: Recipe) -> None:
    values = torch.arange(6.0)
    for seed in range(10):
        images, targets = mixed(recipe, seed)
        torch.testing.assert_close(images.mean(dim=(1, 2, 3)), targets @ values)
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))


def test_cutmix_keeps_pixels_as_they_are() -> None:
    images, _ = mixed(Recipe(cutmix=1.0), 1)
    assert set(images.unique().tolist()) <= set(range(6))


def test_switched_off_nothing_is_mixed() -> None:
    images, targets = mixed(Recipe(mixup=0, cutmix=0), 0)
    assert images is IMAGES
    assert targets is TARGETS
