"""Attacks on a hash network: center codes, and images that are perturbed within a bound so that their codes move."""

from nearbit.attacks.center_code import RELEVANCES, Relevance, center_codes
from nearbit.attacks.perturbation import Budget, hag, pgd

__all__ = ["RELEVANCES", "Budget", "Relevance", "center_codes", "hag", "pgd"]
