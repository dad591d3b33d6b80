"""What a record holds that was measured on a model's codes: none of it is said of a model with other codes."""

from collections.abc import Mapping
from typing import Any

OF_CENTERS = ("run_key", "certificate", "center_condition", "published")
"""Fields of a record that hold for its run and its centers alone: another center is enough to make them untrue."""

OF_CODES = (
    *OF_CENTERS, "validation_map", "validation_searched", "head_candidates", "history", "scores", "searched", "score",
)  # fmt: skip
"""Fields that hold for its codes alone. The last three are within `auto` and `expected_center`."""

PARTS = ("final", "measured", "recipe", "expected_center", "auto")
"""What such fields stand in, too: `tuning` is of the backbone and `reference` of its features, which stay."""


def record_without(record: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """Return a model's record, or a part of it, without such fields, for a model of which they would not be true.

    How the model was trained stays: options, schedule, chosen epoch, backbone, data, times.

    Args:
        record: of the model that the other one is made of; it is not changed.
        fields: `OF_CODES` where codes are others, `OF_CENTERS` where only centers are.
    """
    return {
        name: record_without(value, fields) if name in PARTS and isinstance(value, Mapping) else value
        for name, value in record.items()
        if name not in fields
    }


def moved_for(record: Mapping[str, Any]) -> list[str]:
    """Return the classes, by name, for which the last layer of a model was changed after its training."""
    return [added["name"] for added in record.get("added_classes", []) if added["kept_images"]]


def is_as_measured(record: Mapping[str, Any]) -> bool:
    """Tell whether the codes of a model are those of its training, so that what was measured then is said of it."""
    return "shortened_from" not in record and not moved_for(record)
