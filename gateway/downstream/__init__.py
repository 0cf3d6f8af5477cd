"""The clients' side: connections, heads in, answers out, deadlines."""
