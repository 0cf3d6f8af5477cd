"""The running gateway, over real sockets."""
