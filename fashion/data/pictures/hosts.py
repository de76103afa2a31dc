"""Which hosts may be asked for pictures.

Whoever writes a manifest must not be able to make this machine ask its neighbours (a cloud's metadata service, a
service on loopback) and see the answer, so names are resolved once, every address they have is looked at, and the
connection goes to one of those very addresses: for a redirection anew.
"""

import ipaddress
import socket

from fashion.data.codecs import BadPicture

_CARRIER_IPV4 = ipaddress.ip_network("64:ff9b::/96")  # IPv4 addresses as NAT64 writes them


def resolve(host: str, port: int, *, private: bool) -> list[str]:
    """The addresses of a host, IPv4 first. Raises BadPicture where one of them is not public and `private` is not set,
    and OSError where there are none."""
    addresses = dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    if not private and not all(map(is_public, addresses)):
        raise BadPicture(
            "its host has an address of this machine or of a private network, which is asked with --allow_private_hosts "
            "true only"
        )
    return sorted(addresses, key=lambda address: ":" in address)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, and no other one wrapped up in IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if ip in _CARRIER_IPV4:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if int(ip) >> 32 == 0 or ip.is_site_local:  # ::a.b.c.d, and fec0::/10, both of old
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
