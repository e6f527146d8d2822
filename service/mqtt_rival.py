"""Whether somebody else uses our client id at the broker: two throw each other out for ever.

Brokers with MQTT 5 say so ("Session taken over", reason 142). By 3.1.1, and from Mosquitto before
2.0.21 in either version, the line only breaks, each time soon after it was there.
"""

from __future__ import annotations

import logging
from time import monotonic

_LOGGER = logging.getLogger(__name__)
QUICK = 10.0  # seconds; who is thrown out by one that comes back at once lasts no longer
MANY = 3  # quick ends in a row that are no accident any more
PAUSES = (15, 30, 60)  # seconds to stay away, the longer the more often we are thrown out
CALM = 150.0  # seconds that a connection lasts if there is no rival, or none any more
ADVICE = "give this one its own: mqtt_client_id"


class Rival:
    """Watches one client's connections; called on any one thread, read on all.

    Args:
        client_id: the client's id at the broker.
    """

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._since: float | None = None  # `monotonic()` of the connection that we have
        self._ends = 0  # quick ends in a row
        self._told = False  # the broker said that we were thrown out

    @property
    def reason(self) -> str | None:
        """What is wrong and what to do about it; None while nobody seems to use our id."""
        since = self._since
        if not self._suspected or (since is not None and monotonic() - since > CALM):
            return None
        others = f"another service uses the client id {self._client_id} there; {ADVICE}"
        if self._told:
            return f"the MQTT broker ends each connection for a newer one: {others}"
        return f"the MQTT broker ends each connection at once: most likely {others}"

    @property
    def _suspected(self) -> bool:
        return self._told or self._ends >= MANY

    def connected(self) -> None:
        """The broker let us in."""
        self._since = monotonic()

    def lost(self, *, taken_over: bool = False) -> int | None:
        """A connection ended against our will, or none came about.

        Args:
            taken_over: the broker says that another client came with our id.

        Returns:
            For how many seconds to stay away: 0 for the usual, None for what it was before.
        """
        before, since = self.reason, self._since
        self._since = None
        if since is None:
            return None
        # Where both stay away for a while, each of us has some peace before the other comes.
        if monotonic() - since > (CALM if self._suspected else QUICK):
            self._ends, self._told = 0, False
            if not taken_over:
                return 0
        self._ends += 1
        self._told |= taken_over
        if not self._suspected:
            return 0
        if before is None:
            _LOGGER.error("%s", self.reason)
        beyond = self._ends - (1 if self._told else MANY)
        return PAUSES[min(beyond, len(PAUSES) - 1)]
