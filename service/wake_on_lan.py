"""Wakes a sleeping computer: the magic packet that its network card listens for."""

from __future__ import annotations

import logging
import socket
from time import monotonic

_LOGGER = logging.getLogger(__name__)
EVERY = 30.0  # seconds between packets; a computer needs about that long to get up
_EVERYBODY = ("255.255.255.255", 9)  # the discard port is what the cards' makers use


class WakeOnLan:
    """Sends magic packets, not more often than a computer can make use of.

    Args:
        mac: hardware address of the computer's network card, six pairs of hexadecimal digits.
        target: address and UDP port that the packets go to; a sleeping computer has no address of
            its own, so they go to everybody in the local network.
    """

    def __init__(self, mac: str, target: tuple[str, int] = _EVERYBODY) -> None:
        self._packet = b"\xff" * 6 + bytes.fromhex(mac.replace(":", "").replace("-", "")) * 16
        self._target = target
        self._sent: float | None = None

    def wake(self) -> bool:
        """Send a packet unless one was sent just now; whether it was sent. Does not block."""
        now = monotonic()
        if self._sent is not None and now - self._sent < EVERY:
            return False
        self._sent = now
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                sender.sendto(self._packet, self._target)
        except OSError as error:
            _LOGGER.warning("the remote box cannot be woken: %s", error)
            return False
        _LOGGER.info("the remote box sleeps and somebody wants to hear it: woken")
        return True
