"""Certificates of a cloud's own authority: trusted when somebody says so, and named when nobody does."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fake_cloud import FakeCloud
from provision_openstack.config import OpenStackConfig
from provision_openstack.session import Session

from provision.errors import EnvironmentProblem


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a cloud of our own")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("trust") / "cloud.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def cloud(certificate, tmp_path, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with FakeCloud(certificate) as made:
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(made.clouds(tmp_path)))
        yield made


def test_a_cloud_of_an_authority_that_nobody_knows_is_refused_and_nothing_secret_sent(cloud):
    with pytest.raises(EnvironmentProblem, match=r"certificate verify failed|self-signed certificate"):
        Session(OpenStackConfig(cloud="fake"))

    assert cloud.tokens == 0


def test_a_file_of_certificates_in_the_configuration_is_trusted(cloud, certificate):
    session = Session(OpenStackConfig(cloud="fake", ca_file=str(certificate)))
    cloud.lay("GET", "/network/v2.0/networks", (200, {"networks": []}))

    assert session.network.get("/networks") == {"networks": []}
    session.close()
