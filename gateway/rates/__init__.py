"""How often callers have called, and whether they may once more."""
