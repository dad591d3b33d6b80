"""What a model's record says of the published recipe that it was trained by."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from nearbit.methods import Method
from nearbit.methods.presets import preset_of_method
from nearbit.training.options import UNRECORDED, TrainOptions

NO_PART = (*UNRECORDED, "preset", "weights", "seed", "device", "precision", "compile")
"""Options that no recipe has a word about."""


def recipe_of(options: TrainOptions, backbone: str, method: Method, method_options: Any) -> dict[str, Any]:
    """Return the "recipe" of a record, in a dict of its own; an empty one where the options come from no recipe.

    It has the recipe's "name", its paper ("citation"), what "differs" from that, and what was given "instead" of the
    recipe's options or besides them, by name.

    Args:
        options: of the training as they were given.
        backbone: its name, as a record has it.
        method, method_options: what was trained, and its options.
    """
    if options.preset is None:
        return {}
    preset = preset_of_method(options.preset, method.name)
    names = [one.name for one in fields(TrainOptions) if one.name not in NO_PART]
    usual = {name: getattr(TrainOptions(), name) for name in names}
    given = {name: getattr(options, name) for name in names} | {"backbone": backbone}
    own, usual_own = asdict(method_options), asdict(method.options) | dict(preset.method_options)
    return {
        "recipe": {
            "name": preset.name,
            "citation": preset.citation,
            "differs": list(preset.differs),
            "instead": _changed(given, usual | dict(preset.options)) | _changed(own, usual_own),
        }
    }


def _changed(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value != wanted[name]}
