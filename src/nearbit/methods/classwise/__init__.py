"""Methods that learn what stands for each class: weights of a classifier, or class centers of real numbers."""
