"""Metrics of a search by codes: one function per quantity, each stating its convention."""

from nearbit.metrics.averages import mean
from nearbit.metrics.ordered import ordered_average_precision
from nearbit.metrics.precision import precision_at
from nearbit.metrics.report import Report, evaluate_codes
from nearbit.metrics.tie_aware import tie_aware_average_precision

__all__ = [
    "Report",
    "evaluate_codes",
    "mean",
    "ordered_average_precision",
    "precision_at",
    "tie_aware_average_precision",
]
