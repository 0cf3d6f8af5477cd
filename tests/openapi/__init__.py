"""OpenAPI files become routes, and are held against routes."""
