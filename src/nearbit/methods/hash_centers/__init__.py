"""Methods that train towards hash centers: one word for each class."""
