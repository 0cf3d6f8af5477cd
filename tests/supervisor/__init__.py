"""Several workers: real processes."""
