"""What batch normalisation of a backbone goes by while the backbone is trained."""

from typing import Literal

from torch import Tensor, nn

from nearbit.errors import InputError
from nearbit.methods import Regime
from nearbit.methods.presets import preset_named
from nearbit.networks import Backbone
from nearbit.networks.backbones import NORMS
from nearbit.training.options import TrainOptions


def resolve_batch_norm(options: TrainOptions, regime: Regime, backbone: Backbone) -> Literal["fixed", "batch"] | None:
    """Return what batch normalisation of a backbone goes by while it is trained; None where there is none to train.

    Raises:
        InputError: it is to keep means and variances, and has none, since its weights are random; or something else is
            asked for than the recipe (`preset`) has, and the backbone has no batch normalisation.
    """
    norms = [layer for layer in backbone.module.modules() if isinstance(layer, NORMS)]
    of_recipe = None if options.preset is None else preset_named(options.preset).options.get("batch_norm")
    if not norms and options.batch_norm not in ("auto", of_recipe):
        raise InputError(
            f"the backbone {backbone.spec.name} has no batch normalisation: leave batch_norm (--batch-norm) out"
        )
    if regime == "frozen" or not norms:
        return None
    keeps = regime == "fine-tuned" and any(_has_seen_images(layer) for layer in norms)
    if options.batch_norm == "fixed" and not keeps:
        raise InputError(
            "batch normalisation of a network with random weights has no means and variances that could be kept: leave "
            "batch_norm 'fixed' (--batch-norm) out, or give pretrained weights (--weights)"
        )
    return "fixed" if keeps and options.batch_norm != "batch" else "batch"


def _has_seen_images(layer: nn.Module) -> bool:
    """Tell whether the means and variances of a layer are others than those that it begins with, 0 and 1.

    Its counter says nothing: files of weights leave it out.
    """
    mean, variance = layer.running_mean, layer.running_var
    if not (isinstance(mean, Tensor) and isinstance(variance, Tensor)):
        return False
    return bool((mean != 0).any() or (variance != 1).any())
