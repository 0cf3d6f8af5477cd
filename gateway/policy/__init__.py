"""The pure part: what a request means and whether it may enter. Standard library only; no I/O, no clock, no logging."""
