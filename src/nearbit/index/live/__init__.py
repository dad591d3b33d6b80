"""The view of an open index: snapshots in memory, kept at the state of the file."""
