"""What `bundle.json` says of a model that is saved."""

from typing import Any

from nearbit.encoding.versions import library_versions
from nearbit.model.manifest import FORMAT_VERSIONS, TRAINED
from nearbit.networks import Backbone
from nearbit.networks.backbones import OWN
from nearbit.networks.own import probe_of


def description_of(backbone: Backbone, about: dict[str, Any], files: dict[str, str]) -> dict[str, Any]:
    """Return the description of a model whose files have these hashes, but for its own digest.

    Args:
        backbone: of the model.
        about: what else the model says of itself, under the names of the file.
        files: SHA-256 by name.
    """
    spec = backbone.spec
    return {
        "kind": TRAINED,
        "format_version": FORMAT_VERSIONS[TRAINED],
        **about,
        "preprocessing": backbone.preprocessing.to_dict(),
        "backbone": {
            "name": spec.name,
            "feature_dim": spec.feature_dim,
            "pretrained": spec.pretrained,
            "source": spec.source,
            "config": spec.config,
        },
        "libraries": library_versions(),
        "files": files,
        **({"probe": probe_of(backbone)} if spec.name.startswith(OWN) else {}),
    }
