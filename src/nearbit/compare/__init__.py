"""Methods beside each other: the same data, splits, lengths and seeds for each, one file a run."""
