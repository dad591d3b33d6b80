"""The search by weighted distance: what codes weigh, the compiled loops and their NumPy form."""
