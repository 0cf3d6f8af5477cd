"""Secrets come from files and standard input, never from arguments, which every user of a machine can read."""


def parse_secret(raw: bytes) -> str:
    """The secret that a file holds: its text without the newline at the end. ValueError says what is wrong with it."""
    try:
        secret = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("the secret is not UTF-8 text") from None
    if not secret.strip():
        raise ValueError("the secret is empty")
    if "\n" in secret or "\0" in secret:
        raise ValueError("the secret has more than one line: put the secret alone into the file")
    return secret
