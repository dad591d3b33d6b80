"""What `bundle.json` says of a model that is saved."""

from typing import TYPE_CHECKING, Any

from nearbit.encoding.torch_backend import library_versions
from nearbit.model.manifest import FORMAT_VERSIONS, TRAINED
from nearbit.networks.own import probe_of

if TYPE_CHECKING:
    from nearbit.model.bundle import Model


def description_of(model: "Model", files: dict[str, str]) -> dict[str, Any]:
    """Return the description of a model whose files have these hashes, but for its own digest."""
    spec = model.network.backbone.spec
    return {
        "kind": TRAINED,
        "format_version": FORMAT_VERSIONS[TRAINED],
        "model_id": model.model_id,
        "method": model.method,
        "method_options": model.method_options,
        "n_bits": model.n_bits,
        "classes": list(model.classes),
        "preprocessing": model.preprocessing.to_dict(),
        "backbone": {
            "name": spec.name,
            "feature_dim": spec.feature_dim,
            "pretrained": spec.pretrained,
            "source": spec.source,
            "config": spec.config,
        },
        "head": model.head,
        "split_hash": None if model.split is None else model.split.hash,
        "record": model.record,
        "libraries": library_versions(),
        "files": files,
        **({"probe": probe_of(model.network.backbone)} if model.has_own_backbone else {}),
    }
