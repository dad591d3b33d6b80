"""What is asked and answered: typed declarations, from which reading, bounds, refusals and OpenAPI follow."""
