"""Long and large: left out by default."""
