"""The index file: its tables, transactions, locks, log of changes, and reading it in bulk."""
