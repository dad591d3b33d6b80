"""What a model's record says of the published recipe that it was trained by."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from nearbit.methods import Method
from nearbit.methods.presets import preset_named
from nearbit.training.options import UNRECORDED, TrainOptions

NO_PART = (*UNRECORDED, "preset", "weights", "seed", "device", "precision", "compile")
"""Options that no recipe has a word about."""


def recipe_of(recorded: Mapping[str, Any], method: Method, method_options: Any) -> dict[str, Any]:
    """Return the "recipe" of a record, in a dict of its own; an empty one where the options come from no recipe.

    It has the recipe's "name", its paper ("citation"), what "differs" from that, and what was given "instead" of the
    recipe's options or besides them, by name.

    Args:
        recorded: the options of the training as a record has them.
        method, method_options: what was trained, and its options.
    """
    if "preset" not in recorded:
        return {}
    preset = preset_named(recorded["preset"])
    usual = {one.name: one.default for one in fields(TrainOptions) if one.name not in NO_PART}
    wanted = {**usual, **preset.options, **asdict(method.options), **preset.method_options}
    values = {name: recorded.get(name, usual[name]) for name in usual} | asdict(method_options)
    instead = {name: value for name, value in values.items() if value != wanted[name]}
    return {
        "recipe": {
            "name": preset.name,
            "citation": preset.citation,
            "differs": list(preset.differs),
            "instead": instead,
        }
    }
