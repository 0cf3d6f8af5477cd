"""The access log: one record a request, how it is written, and how it is asked."""
