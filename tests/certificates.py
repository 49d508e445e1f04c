"""Certificates for loopback, made by the openssl command; each is its own authority."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    """PEM files."""

    cert: Path
    key: Path


def make_pair(folder: Path, name: str) -> Pair:
    """A certificate for 127.0.0.1 and localhost that is its own authority, and its key."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"),
        *("-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *("-keyout", str(pair.key), "-out", str(pair.cert)),
    )
    return pair


def encrypted(key: Path, *, traditional: bool = False) -> Path:
    """A copy of `key` that wants a password."""
    copy = key.with_suffix(".traditional" if traditional else ".encrypted")
    command = ("ec",) if traditional else ("pkey",)
    _openssl(*command, "-in", str(key), "-aes128", "-passout", "pass:secret", "-out", str(copy))
    return copy


def believing(*pairs: Pair) -> ssl.SSLContext:
    """What a client speaks TLS with that knows these authorities and no others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for pair in pairs:
        context.load_verify_locations(pair.cert)
    return context


def _openssl(*arguments: str) -> None:
    subprocess.run(("openssl", *arguments), check=True, capture_output=True, timeout=30)
