"""What batch normalisation of a backbone goes by while the backbone is trained."""

from typing import Literal

from nearbit.errors import InputError
from nearbit.methods import Regime
from nearbit.networks import Backbone
from nearbit.networks.backbones import NORMS
from nearbit.training.options import TrainOptions


def resolve_batch_norm(options: TrainOptions, regime: Regime, backbone: Backbone) -> Literal["fixed", "batch"] | None:
    """Return what batch normalisation of a backbone goes by while it is trained; None where there is none to train.

    Raises:
        InputError: it is to keep means and variances, and has none since its weights are random; or something is asked
            for and the backbone has no batch normalisation.
    """
    has_norms = any(isinstance(layer, NORMS) for layer in backbone.module.modules())
    if not has_norms and options.batch_norm != "auto" and options.preset is None:
        raise InputError(
            f"the backbone {backbone.spec.name} has no batch normalisation: leave batch_norm (--batch-norm) out"
        )
    if regime == "frozen" or not has_norms:
        return None
    if options.batch_norm == "fixed" and regime == "scratch":
        raise InputError(
            "batch normalisation of a network with random weights has no means and variances that could be kept: leave "
            "batch_norm 'fixed' (--batch-norm) out, or give pretrained weights (--weights)"
        )
    return "fixed" if regime == "fine-tuned" and options.batch_norm != "batch" else "batch"
