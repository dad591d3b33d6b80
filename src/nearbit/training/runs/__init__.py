"""The kinds of runs that `plan` makes, and in what a model differs from what a run would make."""
