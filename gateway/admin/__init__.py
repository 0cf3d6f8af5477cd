"""The operator's side: health, readiness, metrics and status. It receives snapshots, never live objects."""
