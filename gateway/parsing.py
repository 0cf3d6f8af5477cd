"""How aiohttp's C parsers are used, on both sides."""

UNBOUNDED = 2**31 - 1
"""The limit of a parser's buffers: they are emptied after every read, so its flow control never has to act."""

PARSED_AT_ONCE = 1 << 14
"""Bytes of heads and chunks that are parsed before other connections get a turn: the least of them cost most."""
