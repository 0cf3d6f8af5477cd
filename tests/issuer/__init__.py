"""Tests of gateway.issuer."""
