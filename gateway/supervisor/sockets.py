"""Listening sockets that share one address: the kernel spreads new connections over them (SO_REUSEPORT)."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from gateway.downstream.listener import BACKLOG
from gateway.host_port import HostPort


def listen(address: HostPort, count: int) -> list[socket.socket]:
    """So many sockets that listen on one address; for port 0 the system chooses one port for all.

    Raises:
        OSError: the address can't be had; no socket stays open.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    flags = socket.AI_PASSIVE
    place = socket.getaddrinfo(address.host, address.port, family, socket.SOCK_STREAM, flags=flags)[0][4]
    with _bound(family, place, shared=False):
        pass  # SO_REUSEPORT would silently share the port with another gateway of the same user: ask without it first
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        for _ in range(count):
            sockets.append(opened.enter_context(_bound(family, place, shared=True)))
            place = sockets[0].getsockname()
        for one in sockets:
            one.listen(BACKLOG)
        opened.pop_all()
    return sockets


def _bound(family: socket.AddressFamily, place: tuple[object, ...], *, shared: bool) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setblocking(False)
        one.bind(place)
    except BaseException:
        one.close()
        raise
    return one
