"""Adversarial training around any method that sees pixels (CgAT): images are perturbed anew at each step."""

from typing import Any, final

import torch
from torch import Tensor, nn

from nearbit.attacks import Budget, center_codes, pgd
from nearbit.centers.state import random_signs
from nearbit.encoding.torch_backend import moved
from nearbit.errors import InputError
from nearbit.methods import Method
from nearbit.training.distributed.processes import Processes
from nearbit.training.inputs.batches import Positions
from nearbit.training.options import TrainOptions
from nearbit.training.seeds import generator
from nearbit.training.terms.epoch_mean import EpochMean


@final
class Adversary(nn.Module):
    """The codes of all training images as they are, and the term of the loss of perturbed ones.

    At each step PGD moves the images of a batch away from their center codes, by the codes that are remembered; then
    the batch's own codes are remembered, and the perturbed images are pulled to the new center codes b*:
    `- weight · mean(tanh(u(x_adv)) · b*)` joins the loss. PGD sees the network as it is used, in evaluation mode, in
    float32: it leaves the running figures of batch normalisation alone. The perturbed images then go through it in
    training mode, as the plain ones do. Its state is what is remembered.

    Paper: Wang, Lin and Li, "CgAT: Center-Guided Adversarial Training for Deep Hashing-Based Retrieval" (WWW 2023).
    Differs from the authors' code: it begins with a trained network and all its codes, while here images that were not
    seen yet are left out of the votes; it never switches to evaluation mode, so that dropout is part of the attack;
    even votes give 0 there, and here the sign of a random word.
    """

    codes: Tensor
    labels: Tensor
    tie_break: Tensor

    def __init__(
        self, options: TrainOptions, module: nn.Module, shape: tuple[int, ...], n_bits: int, device: torch.device
    ) -> None:
        """Make an empty memory.

        Args:
            options: of the run, with `adversarial`.
            module: what is trained: a whole network, from pixels to outputs.
            shape: (n_train, n_classes).
            n_bits: length of the outputs.
            device: where the module is.
        """
        super().__init__()
        assert options.adversarial is not None  # noqa: S101 - else there is no adversary
        self._options, self._module = options, [module]  # in a list: the module's weights are no part of this state
        self._budget = Budget(
            eps=options.adversarial, steps=options.adversarial_steps, step_size=options.adversarial_step_size
        )
        tie_break = random_signs((n_bits,), generator(options.seed, "center code"))
        self.register_buffer("codes", torch.zeros(shape[0], n_bits, device=device))
        self.register_buffer("labels", torch.zeros(shape, device=device))
        self.register_buffer("tie_break", torch.from_numpy(tie_break).float().to(device))
        self._noise = torch.Generator()
        self._mean = EpochMean()

    def begin(self, epoch: int) -> None:
        """Get ready for an epoch, counted from 0."""
        self._noise.manual_seed(int(generator(self._options.seed, "perturbation", epoch).integers(2**62)))
        self._mean = EpochMean()

    def term(self, inputs: Tensor, outputs: Tensor, labels: Tensor, rows: Positions) -> Tensor:
        """Remember a batch, and return the weighted term of its perturbed images.

        Args:
            inputs: pixels `(n, 3, size, size)`.
            outputs: what the module made of them: `(n, n_bits)`, or more columns behind these.
            labels: float `(n, n_classes)`.
            rows: their places among the training images.
        """
        module = self._module[0]
        before = self._center_codes(labels)
        module.eval()
        perturbed = pgd(module, inputs, before, self._budget, toward=False, noise=self._noise)
        module.train()
        places = moved(torch.from_numpy(rows), outputs.device)
        n_bits = self.codes.shape[1]  # in training mode a head may give more than that
        self.codes[places] = torch.where(outputs.detach()[:, :n_bits] >= 0, 1.0, -1.0)
        self.labels[places] = labels
        theirs = module(perturbed).float()[:, :n_bits]
        value = -(torch.tanh(theirs) * self._center_codes(labels)).mean()
        self._mean.add(value, len(rows))
        return self._options.adversarial_weight * value

    def _center_codes(self, labels: Tensor) -> Tensor:
        return center_codes(labels, self.codes, self.labels, self.tie_break, self._options.adversarial_relevance)

    def figures(self) -> dict[str, Any]:
        """Return what the record of an epoch says: the mean of the term before its weight."""
        return self._mean.figures("adversarial_loss")


def check_adversarial(options: TrainOptions, method: Method, processes: Processes) -> None:
    """Raise `InputError` where adversarial training is asked for and the method or the run cannot have it."""
    if options.adversarial is None:
        return
    if not method.needs_labels:
        raise InputError(
            f"adversarial training moves images away from what shares their labels, and {method.name} looks at none: "
            "leave adversarial (--adversarial) out, or take a method that uses labels (crh, csq)"
        )
    if processes.several:
        raise InputError(
            "adversarial training looks at the codes of all training images, which several processes do not share: "
            "train in one process, or leave adversarial (--adversarial) out"
        )
