"""Assertions that were used, so that none is used twice before it expires (RFC 7523 §3, item 7).

They are kept in the state: a replay is found after a restart, and by another server on the same database.
"""

import hashlib
from collections.abc import Callable

from sqlalchemy import Connection, delete, func, select

from gateway.issuer.state import IssuerState
from gateway.issuer.tables import USED_ASSERTIONS, insert_unless_present
from gateway.tokens.replay import Admission

MOST_OF_A_CLIENT = 20_000
"""Assertions of one client at once: 66 a second, if each is valid for five minutes."""

MOST = 200_000
"""Assertions of all clients at once."""


class UsedAssertions:
    """Admits each assertion once. Bounded: when full it admits none, for to forget one is to let it in again."""

    def __init__(
        self,
        state: IssuerState,
        clock: Callable[[], float],
        *,
        most_of_a_client: int = MOST_OF_A_CLIENT,
        most: int = MOST,
    ) -> None:
        self._state = state
        self._clock = clock
        self._most_of_a_client = most_of_a_client
        self._most = most

    def use(self, client_id: str, jti: str, expires_at: float) -> Admission:
        """Note that an assertion was used, which is good until `expires_at`, in seconds since the epoch. Blocks.

        Raises:
            StateError: the state cannot be written; the assertion must not be taken.
        """
        digest = hashlib.sha256(f"{client_id}\0{jti}".encode()).hexdigest()
        row = {"digest": digest, "client_id": client_id, "expires_at": expires_at}
        with self._state.begin() as connection:
            connection.execute(delete(USED_ASSERTIONS).where(USED_ASSERTIONS.c.expires_at <= self._clock()))
            if not insert_unless_present(connection, USED_ASSERTIONS, row):
                return Admission.REPLAYED
            if not self._is_full(connection, client_id):
                return Admission.NEW
            connection.execute(delete(USED_ASSERTIONS).where(USED_ASSERTIONS.c.digest == digest))
            return Admission.FULL

    def _is_full(self, connection: Connection, client_id: str) -> bool:
        count = select(func.count()).select_from(USED_ASSERTIONS)
        of_client = connection.execute(count.where(USED_ASSERTIONS.c.client_id == client_id)).scalar_one()
        return of_client > self._most_of_a_client or connection.execute(count).scalar_one() > self._most
