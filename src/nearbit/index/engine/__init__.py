"""Exact search of codes in memory: layouts, the planner, and the kernels. It knows no file."""
