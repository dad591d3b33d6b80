"""Files that are written whole or not at all, and what libraries raise of damaged ones, in our words."""
