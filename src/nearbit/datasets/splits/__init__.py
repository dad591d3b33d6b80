"""Splits: which images train, validate, query and are searched, and what must not be in two of them."""
