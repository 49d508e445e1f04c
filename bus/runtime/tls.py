"""TLS for listeners: a certificate chain and its key, read from PEM files."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_NO_PASSWORD = ""
_ENCRYPTED = ("BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED")


class TlsError(ValueError):
    """Files that cannot serve; the text names the file and what to do, and holds nothing of a key."""


def check_pair(cert: Path | None, key: Path | None) -> None:
    """Raise TlsError if one of the two is given without the other."""
    if (cert is None) is not (key is None):
        given, missing = ("--tls-cert", "--tls-key") if key is None else ("--tls-key", "--tls-cert")
        raise TlsError(f"{given} is given without {missing}: TLS needs both files")


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """What a listener speaks TLS with, 1.2 or newer. `cert` holds the chain, the server's own first.

    Raises TlsError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, cert, key)
    return context


def reload(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Use what the files hold now for connections to come; those that are open go on as they are.

    Raises TlsError, and then nothing has changed.
    """
    server_context(cert, key)  # a context into which half a pair was loaded would refuse everybody
    _load(context, cert, key)


def expires_at(cert: Path, key: Path) -> float:
    """When the certificate ends, in seconds of the epoch. Raises TlsError, also if it has ended or not begun yet."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # who signed it is for clients to know
    server = server_context(cert, key)
    client.load_verify_locations(cert)
    try:
        ends = _seen_by(client, server).get("notAfter")
    except ssl.SSLCertVerificationError as error:
        raise TlsError(f"{cert}: {error.verify_message}") from None
    return float(ssl.cert_time_to_seconds(str(ends)))


def _seen_by(client: ssl.SSLContext, server: ssl.SSLContext) -> Mapping[str, object]:
    """A handshake without a network: the ssl module shows only the fields of a certificate that a peer has sent."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours, theirs = server.wrap_bio(to_server, to_client, server_side=True), client.wrap_bio(to_client, to_server)
    for side in (theirs, ours, theirs):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return theirs.getpeercert() or {}


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    if "-----BEGIN CERTIFICATE-----" not in _text(cert, "certificate"):
        raise TlsError(f"{cert} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    key_text = _text(key, "key")
    if "PRIVATE KEY-----" not in key_text:
        raise TlsError(f"{key} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)")
    if any(mark in key_text for mark in _ENCRYPTED):
        raise TlsError(
            f"the key in {key} is encrypted, and a service has nobody to ask for its password; decrypt it with:"
            f" openssl pkey -in {key} -out FILE, and let nobody else read FILE"
        )
    try:
        # Without a password OpenSSL would ask on the terminal for one, were the key encrypted in some other way.
        context.load_cert_chain(cert, key, password=_NO_PASSWORD)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"the key in {key} does not belong to the first certificate in {cert}") from None
        reason = error.reason or "not valid PEM"
        raise TlsError(f"{cert} and {key} cannot be used for TLS: {reason.replace('_', ' ').lower()}") from None


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise TlsError(f"the TLS {what} {path} cannot be read: {error.strerror}") from None
