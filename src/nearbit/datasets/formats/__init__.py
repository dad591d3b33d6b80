"""How data sets lie on disk, one format a file, and those that are built in."""
