"""What a training loop is fed: cached features, or images decoded anew in every epoch."""
