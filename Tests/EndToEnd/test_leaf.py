"""Ratel's own certificate under an independent reader of both forms of Evidence in it: accepted for
its key, refused for any other."""

import pathlib
import ssl
import sys

import platforms
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from harness import software_tpm
from test_platforms import machine, serving

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))

import leafcheck  # noqa: E402


def leaf_at(port):
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", port)))


def rebuilt(certificate, key=None, change=lambda identifier, content: content):
    """The certificate for another key, or with other extensions, signed anew."""
    leaf = x509.load_der_x509_certificate(certificate)
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder().subject_name(leaf.subject).issuer_name(leaf.issuer)
        .public_key(key.public_key()).serial_number(leaf.serial_number)
        .not_valid_before(leaf.not_valid_before_utc).not_valid_after(leaf.not_valid_after_utc))
    for extension in leaf.extensions:
        value = extension.value
        if isinstance(value, x509.UnrecognizedExtension):
            value = x509.UnrecognizedExtension(
                value.oid, change(value.oid.dotted_string, value.value))
        builder = builder.add_extension(value, critical=extension.critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(leafcheck.serialization.Encoding.DER)


def refusal(certificate, root=None):
    try:
        leafcheck.check(certificate, root)
    except leafcheck.Refused as refused:
        return str(refused)
    raise AssertionError("accepted")


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]


def check_leaf(leaf, media, root=None):
    assert leafcheck.check(leaf, root) == [media]
    # A thief's certificate: the Evidence of another key, as it is.
    assert refusal(rebuilt(leaf), root) == "the claims name another key"
    # And with claims about the thief's key: now nothing covers them.
    key = ec.generate_private_key(ec.SECP256R1())
    thief = leafcheck.hashlib.sha256(key.public_key().public_bytes(
        leafcheck.serialization.Encoding.DER,
        leafcheck.serialization.PublicFormat.SubjectPublicKeyInfo)).digest()
    named = leafcheck.decode(leafcheck.tagged(leafcheck.extension(
        x509.load_der_x509_certificate(leaf), leafcheck.CCC))[1])["pubkey-hash"]
    own = leafcheck.decode(named)[1]
    swapped = rebuilt(leaf, key, lambda identifier, content: content.replace(own, thief)
                      if identifier == leafcheck.CCC else content)
    assert refusal(swapped, root).endswith("is not of this key")
    # One form of the two with other Evidence.
    both = {leafcheck.CCC: lambda content: content.replace(own, thief),
            leafcheck.CMW: lambda content: flipped(content, len(content) // 2)}
    broken = rebuilt(leaf, key, lambda identifier, content: both[identifier](content))
    assert refusal(broken, root) == "id-pe-cmw carries another quote"


def test_a_trust_domains_leaf(context):
    platform = platforms.tdx(4)
    with machine(platform) as (folder, devices, arguments):
        with serving(context, folder, devices, "tdx", arguments) as port:
            leaf = leaf_at(port)
            check_leaf(leaf, leafcheck.TDX, platform.root.pem)
            assert refusal(leaf, platforms.tdx(4).root.pem) == "another root"


def test_a_tpms_leaf(context):
    with machine(platforms.nitro_enclave()) as (folder, devices, _), software_tpm(folder) as tpm:
        with serving(context, folder, devices, "tpm", ["--tcti", tpm.tcti]) as port:
            check_leaf(leaf_at(port), leafcheck.TPM)


def test_a_software_keys_leaf(context):
    with machine(platforms.nitro_enclave()) as (folder, devices, _):
        with serving(context, folder, devices, "simulated", []) as port:
            check_leaf(leaf_at(port), leafcheck.SIMULATED)
            with serving(context, folder, devices, "none", []) as plain:
                assert refusal(leaf_at(plain)) == f"no extension {leafcheck.CCC}"
