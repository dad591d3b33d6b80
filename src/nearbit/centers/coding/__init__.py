"""Coding theory: bounds, families of codes and how they are combined, and kernels on packed words."""
