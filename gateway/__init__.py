"""Scopegate: a reverse proxy that lets a request pass when its bearer token carries the scopes its route demands."""

__version__ = "0.1.0"
