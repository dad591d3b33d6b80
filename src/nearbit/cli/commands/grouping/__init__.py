"""`nearbit duplicates` and `nearbit clusters`."""
