"""Pictures of the items: their original files, and thumbnails."""
