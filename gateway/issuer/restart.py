"""What a running server does not take anew."""

from typing import Final

NEED_A_RESTART: Final = ("listen", "issuer", "tls", "state", "passphrase_file", "issuance_log", "log_hash_key")
"""Keys of issuer.yaml whose changes take effect at the next start; all others do at once."""
