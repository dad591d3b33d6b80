"""Adversarial training: images that are perturbed anew at each step."""
