"""What all metrics are computed from: relevant items counted by distance, for each query."""
