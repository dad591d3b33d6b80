"""Metrics of a search by codes: one function per quantity, each stating its convention."""

from nearbit.metrics.averages import bootstrap_interval, mean, per_class
from nearbit.metrics.conventions import (
    CONVENTIONS_BY_NAME,
    Convention,
    average_precision_by,
    convention_named,
    ordered_average_precision,
)
from nearbit.metrics.cosine import cosine_average_precision
from nearbit.metrics.figures import FIGURES, KINDS, Figure
from nearbit.metrics.graded import Grades, grades_of_hierarchy, grades_of_tree, hierarchical_average_precision, ndcg
from nearbit.metrics.precision import (
    Curve,
    curve_by_radius,
    curve_by_rank,
    precision_at,
    r_precision,
    recall_at,
    within_radius,
)
from nearbit.metrics.report import Report, evaluate_codes
from nearbit.metrics.scored import asymmetric_average_precision, scored_average_precision
from nearbit.metrics.tie_aware import (
    average_precision_bounds,
    leave_one_out_average_precision,
    tie_aware_average_precision,
)

__all__ = [
    "CONVENTIONS_BY_NAME",
    "FIGURES",
    "KINDS",
    "Convention",
    "Curve",
    "Figure",
    "Grades",
    "Report",
    "asymmetric_average_precision",
    "average_precision_bounds",
    "average_precision_by",
    "bootstrap_interval",
    "convention_named",
    "cosine_average_precision",
    "curve_by_radius",
    "curve_by_rank",
    "evaluate_codes",
    "grades_of_hierarchy",
    "grades_of_tree",
    "hierarchical_average_precision",
    "leave_one_out_average_precision",
    "mean",
    "ndcg",
    "ordered_average_precision",
    "per_class",
    "precision_at",
    "r_precision",
    "recall_at",
    "scored_average_precision",
    "tie_aware_average_precision",
    "within_radius",
]
