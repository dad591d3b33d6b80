"""What joins a loss beside what a method says of a batch: memories, and terms of the index."""
