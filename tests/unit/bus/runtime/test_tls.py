import ssl
import time
from pathlib import Path

import pytest

from bus.runtime.tls import TlsError, check_pair, expires_at, reload, server_context
from tests.certificates import Pair, believing, encrypted, make_expired_pair, make_pair


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    folder = tmp_path_factory.mktemp("certificates")
    return make_pair(folder, "one"), make_pair(folder, "two")


def shown(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """The certificate that a client sees, in a handshake without a network."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    unfinished = [theirs, ours]
    while unfinished:
        for side in list(unfinished):
            try:
                side.do_handshake()
                unfinished.remove(side)
            except ssl.SSLWantReadError:
                pass
    certificate = theirs.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.cert.read_text())


def test_both_files_or_none() -> None:
    check_pair(None, None)
    check_pair(Path("cert"), Path("key"))
    with pytest.raises(TlsError, match="--tls-cert is given without --tls-key"):
        check_pair(Path("cert"), None)
    with pytest.raises(TlsError, match="--tls-key is given without --tls-cert"):
        check_pair(None, Path("key"))


def test_clients_see_the_certificate_and_get_no_old_version_of_tls(pairs: tuple[Pair, Pair]) -> None:
    one, _ = pairs
    context = server_context(one.cert, one.key)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert shown(context, believing(one)) == der(one)


def test_one_file_may_hold_both(pairs: tuple[Pair, Pair], tmp_path: Path) -> None:
    one, _ = pairs
    both = tmp_path / "both.pem"
    both.write_text(one.key.read_text() + one.cert.read_text())
    assert shown(server_context(both, both), believing(one)) == der(one)


def test_a_file_that_is_not_there_is_named(pairs: tuple[Pair, Pair], tmp_path: Path) -> None:
    one, _ = pairs
    with pytest.raises(TlsError, match=r"the TLS certificate .*/none cannot be read: No such file or directory"):
        server_context(tmp_path / "none", one.key)
    with pytest.raises(TlsError, match=r"the TLS key .* cannot be read: Is a directory"):
        server_context(one.cert, tmp_path)


def test_files_that_were_swapped_or_are_something_else_are_told_apart(pairs: tuple[Pair, Pair], tmp_path: Path) -> None:
    one, two = pairs
    with pytest.raises(TlsError, match="one.key holds no certificate in PEM form"):
        server_context(one.key, one.cert)
    with pytest.raises(TlsError, match="one.crt holds no private key in PEM form"):
        server_context(one.cert, one.cert)
    with pytest.raises(TlsError, match="does not belong to the first certificate"):
        server_context(one.cert, two.key)
    broken = tmp_path / "broken.crt"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with pytest.raises(TlsError, match="broken.crt and .* cannot be used for TLS: "):
        server_context(broken, one.key)


@pytest.mark.parametrize("traditional", [False, True])
def test_an_encrypted_key_is_refused_instead_of_a_password_asked_for(
    pairs: tuple[Pair, Pair], traditional: bool
) -> None:
    one, _ = pairs
    with pytest.raises(TlsError, match="is encrypted, and a service has nobody to ask"):
        server_context(one.cert, encrypted(one.key, traditional=traditional))


def test_new_files_are_used_once_they_are_read_again(pairs: tuple[Pair, Pair]) -> None:
    one, two = pairs
    context = server_context(one.cert, one.key)
    reload(context, two.cert, two.key)
    assert shown(context, believing(one, two)) == der(two)


def test_files_that_do_not_fit_change_nothing(pairs: tuple[Pair, Pair]) -> None:
    one, two = pairs
    context = server_context(one.cert, one.key)
    with pytest.raises(TlsError):
        reload(context, two.cert, one.key)
    assert shown(context, believing(one, two)) == der(one)


def test_the_end_of_a_certificate_is_told(pairs: tuple[Pair, Pair], tmp_path: Path) -> None:
    one, _ = pairs
    left_s = expires_at(one.cert, one.key) - time.time()
    assert 47 * 3600 < left_s <= 48 * 3600
    old = make_expired_pair(tmp_path, "old")
    with pytest.raises(TlsError, match="old.crt: certificate has expired"):
        expires_at(old.cert, old.key)
