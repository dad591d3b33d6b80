"""Perturbations of images that move their codes: projected gradient descent, and HAG."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nearbit.errors import InputError

Network = Callable[[Tensor], Tensor]
"""From pixels `(n, 3, size, size)` from 0 to 255 to outputs `(n, n_bits)`, with gradients."""

SHARPNESS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""What HAG multiplies outputs by before tanh, in equal parts of its steps."""
MOMENTUM, TURNED = 0.9, -0.5
"""HAG's momentum, and the agreement from -1 to 1 below which a bit counts as turned."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What an attack may do.

    Attributes:
        eps: the largest change of a pixel, of 255.
        steps: how many gradients it follows.
        step_size: of PGD the change of a pixel in a step, of 255; of HAG the learning rate for pixels from 0 to 1.
        scale: what outputs are divided by before tanh.
    """

    eps: float
    steps: int
    step_size: float
    scale: float = 1.0


def pgd(
    network: Network, pixels: Tensor, codes: Tensor, budget: Budget, *, toward: bool, noise: torch.Generator
) -> Tensor:
    """Perturb images so that their codes move away from words, or toward them, by projected gradient descent.

    From a random start within the budget it follows signs of the gradient of the mean of `tanh(output) · code`.

    Args:
        network: makes outputs of pixels; each image's by itself (in evaluation mode).
        pixels: uint8 or float `(n, 3, size, size)`, from 0 to 255.
        codes: `(n, n_bits)` of -1 and +1.
        budget: of the attack.
        toward: whether the codes are to come nearer.
        noise: draws the start, on the CPU.

    Returns:
        float32, the shape of `pixels`: within `eps` of them and from 0 to 255, without gradients.

    Raises:
        InputError: the outputs do not follow the pixels by a gradient.

    Paper: Madry et al. (ICLR 2018); with center codes Wang, Lin and Li, CgAT (WWW 2023), whose training takes 7 steps
    of 2/255. Differs from their code: none known.
    """
    plain = pixels.float()
    start = (2 * torch.rand(plain.shape, generator=noise) - 1) * budget.eps
    moved = _within(plain + start.to(plain.device), plain, budget.eps)
    step = budget.step_size if toward else -budget.step_size
    for _ in range(budget.steps):
        gradient = _gradient(network, moved, lambda outputs: torch.tanh(outputs / budget.scale) * codes)
        moved = _within(moved + step * gradient.sign(), plain, budget.eps)
    return moved


def hag(network: Network, pixels: Tensor, codes: Tensor, budget: Budget) -> Tensor:
    """Perturb images so that their codes move toward the complement of their own.

    Gradient descent with momentum on the mean of `tanh(a · output) · code` over the bits that are not turned yet; a
    grows, so that it is near the sign in the end. Arguments, result and errors are those of `pgd`, without a start.

    Paper: Yang et al., "Adversarial Examples for Hamming Space Search" (IEEE Trans. Cybernetics 2020), as the attacks
    beside SAAT restate it: rate 100, momentum .9, mask at 1/2, 2,000 steps. Reconstruction: how a grows is ours.
    """
    plain = pixels.float()
    moved, velocity = plain, torch.zeros_like(plain)
    for number in range(budget.steps):
        sharpness = SHARPNESS[number * len(SHARPNESS) // budget.steps] / budget.scale

        def agreement(outputs: Tensor, sharpness: float = sharpness) -> Tensor:
            values = torch.tanh(sharpness * outputs) * codes
            return values * (values.detach() > TURNED)

        velocity = MOMENTUM * velocity + _gradient(network, moved, agreement)
        moved = _within(moved - budget.step_size * 255**2 * velocity, plain, budget.eps)
    return moved


def _within(moved: Tensor, plain: Tensor, eps: float) -> Tensor:
    """Return pixels within the budget of the plain ones, and from 0 to 255."""
    return torch.minimum(torch.maximum(moved, plain - eps), plain + eps).clamp(0, 255)


def _gradient(network: Network, pixels: Tensor, agreement: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the gradient, image by image, of the mean over bits of an agreement."""
    with torch.enable_grad():
        moved = pixels.detach().requires_grad_(True)
        total = agreement(network(moved).float()).mean(dim=1).sum()
        found = torch.autograd.grad(total, moved, allow_unused=True)[0] if total.requires_grad else None
    if found is None:
        raise InputError(
            "the outputs of this network follow no gradient, as those of the head 'label', which are words of a table: "
            "attack a model of another method"
        )
    return found.detach()
