"""Finding out whether a secret is a client's: one of its scrypt hashes, or one that was verified a moment ago."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from gateway.issuer.basic import Credentials
from gateway.issuer.secrets import RememberedSecrets, decoy_hash, verify_secret
from gateway.issuer.settings import ClientSettings
from gateway.issuer.throttle import Attempt

_SCRYPTS_AT_ONCE = 2


class SecretMemory:
    """What outlives the settings: secrets that were verified a moment ago, and the bound on hashing at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.remembered = RememberedSecrets(clock)
        self.slots = asyncio.Semaphore(_SCRYPTS_AT_ONCE)


class ClientSecrets:
    """The hashes of all clients. As many are tried for one that does not exist as for the one that has the most."""

    def __init__(self, clients: Mapping[str, ClientSettings], memory: SecretMemory) -> None:
        self._hashes = {client_id: client.secret_hashes for client_id, client in clients.items()}
        self._decoy = decoy_hash(each for hashes in self._hashes.values() for each in hashes)
        self._most = max([1, *map(len, self._hashes.values())])
        self._memory = memory

    async def verify(self, readings: Sequence[Credentials], attempt: Attempt) -> Credentials | int | None:
        """The reading whose secret is right; None where none is; seconds to wait where guesses were too many.

        The throttle is the caller's to ask first, or it would not bound guesses at the remembered secrets. It is asked
        once more after the wait for a slot, or guesses sent at the same time would not bound each other.
        """
        known = self._remembered(readings)
        if known is not None:
            return known
        async with self._memory.slots:
            if (seconds := attempt.retry_after()) is not None:
                return seconds
            for reading in readings:
                for each in self._tried(reading.client_id):
                    if await asyncio.to_thread(verify_secret, reading.secret, each):
                        self._memory.remembered.remember(reading.secret, each)
                        return reading
            attempt.failed()
        return None

    def _remembered(self, readings: Iterable[Credentials]) -> Credentials | None:
        for reading in readings:
            for each in self._tried(reading.client_id):
                if self._memory.remembered.knows(reading.secret, each):
                    return reading
        return None

    def _tried(self, client_id: str) -> tuple[str, ...]:
        hashes = self._hashes.get(client_id, ())
        return hashes + (self._decoy,) * (self._most - len(hashes))
