"""Data sets as their owners publish them: folders with official annotations and the official split."""
