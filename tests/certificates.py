"""Certificates for loopback, made by the openssl command; each is its own authority."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Pair:
    """PEM files."""

    cert: Path
    key: Path


def make_pair(folder: Path, name: str, *, days: int = 2) -> Pair:
    """A certificate for 127.0.0.1 and localhost that is its own authority and ends in so many days, and its key."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", str(days)),
        *("-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *("-keyout", str(pair.key), "-out", str(pair.cert)),
    )
    return pair


def make_expired_pair(folder: Path, name: str) -> Pair:
    """The same, but it ended long ago; `openssl req` makes no such certificates."""
    pair, request, config = make_pair(folder, name), folder / "request.pem", folder / "ca.cnf"
    _openssl("req", "-new", "-key", str(pair.key), "-subj", f"/CN={name}", "-out", str(request))
    (folder / "index.txt").touch()
    config.write_text(
        f"[ca]\ndefault_ca=own\n[own]\nnew_certs_dir={folder}\ndatabase={folder}/index.txt\nrand_serial=yes\n"
        "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
    )
    _openssl(
        *("ca", "-batch", "-selfsign", "-notext", "-config", str(config), "-startdate", "20200101000000Z"),
        *("-enddate", "20200102000000Z", "-keyfile", str(pair.key), "-in", str(request), "-out", str(pair.cert)),
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
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made by the openssl command, and there is none")
    subprocess.run(("openssl", *arguments), check=True, capture_output=True, timeout=30)
