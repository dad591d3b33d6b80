"""Methods that compare images with each other, in pairs or triplets, and have no centers."""
