"""Benchmarks: Scopegate beside other proxies on the same work, in the same run."""
