"""Baselines: heads that are computed from features in one go."""
