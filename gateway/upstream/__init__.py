"""The APIs' side: connections, their pool, and what can go wrong with them."""
