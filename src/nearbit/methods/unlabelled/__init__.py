"""Methods that train a hash network on images without labels."""
