"""Centers that follow a similarity of classes: where it comes from, and searches for such centers."""
