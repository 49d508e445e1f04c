"""Who can reach a listener by its address, and what that address therefore asks for."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`; a name other than localhost may be anywhere."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_anonymous(host: str, *, has_keys: bool, is_allowed: bool) -> None:
    """Raise ValueError for a gateway that would serve the network without asking for a key, unless that is wished."""
    if has_keys or is_allowed or is_loopback(host):
        return
    raise ValueError(
        "without API keys a gateway listens on loopback only (127.0.0.1, ::1, localhost): give keys with "
        "HARKEN_GATEWAY_API_KEYS=tenant=key, or let in everybody who reaches it with --allow-anonymous"
    )
