"""Codes with proven minimum distances, by algebra: what separated centers are made of."""
