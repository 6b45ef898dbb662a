"""Certificates and revocation lists under keys made for one run, and what CBOR is needed.

What vendors put into their certificates is in the modules named after them.
"""

import datetime
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import NameOID, ObjectIdentifier

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


class Authority:
    """A key with its certificate; `issuer` signs, or the key itself."""

    def __init__(
        self, name, issuer=None, key=None, is_authority=True, extensions=(), life=365 * DAY,
        digest=None
    ):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.digest = digest or hashes.SHA256()
        issuer = issuer or self
        self.name = name
        usage = dict.fromkeys(
            ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"], False)
        usage |= {
            "digital_signature": not is_authority, "key_cert_sign": is_authority,
            "crl_sign": is_authority}
        builder = (
            x509.CertificateBuilder().subject_name(name).issuer_name(issuer.name)
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY).not_valid_after(NOW + life)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        )
        for identifier, content in extensions:
            unknown = x509.UnrecognizedExtension(ObjectIdentifier(identifier), content)
            builder = builder.add_extension(unknown, critical=False)
        self.certificate = issuer.sign(builder)

    def sign(self, builder):
        """RSA authorities sign as AMD's do, with PSS."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(self.digest), self.digest.digest_size)
            return builder.sign(self.key, self.digest, rsa_padding=pss)
        return builder.sign(self.key, self.digest)

    def revocation_list(self, serials=()):
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self.name)
            .last_update(NOW - DAY).next_update(NOW + 30 * DAY)
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial)
            builder = builder.add_revoked_certificate(revoked.revocation_date(NOW - DAY).build())
        return self.sign(builder).public_bytes(serialization.Encoding.DER)

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def name(common, **others):
    """A distinguished name; the common name comes last, as vendors write theirs."""
    kinds = {
        "C": NameOID.COUNTRY_NAME, "ST": NameOID.STATE_OR_PROVINCE_NAME,
        "L": NameOID.LOCALITY_NAME, "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    }
    parts = [x509.NameAttribute(kinds[kind], value) for kind, value in others.items()]
    return x509.Name(parts + [x509.NameAttribute(NameOID.COMMON_NAME, common)])


def sign_raw(key, message, digest=None):
    """ECDSA as r ‖ s."""
    signature = key.sign(message, ec.ECDSA(digest or hashes.SHA256()))
    r, s = utils.decode_dss_signature(signature)
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def point(key):
    """x ‖ y of an EC key."""
    numbers = key.public_key().public_numbers()
    size = (key.curve.key_size + 7) // 8
    return numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")


def der(tag, *parts):
    """One element of DER."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def der_integer(value):
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def der_identifier(dotted):
    first, second, *rest = map(int, dotted.split("."))
    content = bytes([first * 40 + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.insert(0, 0x80 | arc & 0x7F)
        content += bytes(groups)
    return der(6, content)


def cbor(value):
    """Deterministic CBOR of numbers, byte strings, texts, lists, maps and None."""
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    pairs = sorted((cbor(key), cbor(item)) for key, item in value.items())
    return head(5, len(pairs)) + b"".join(key + item for key, item in pairs)


def head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    for code, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        try:
            return bytes([major << 5 | code]) + struct.pack(form, value)
        except struct.error:
            continue
    raise ValueError(value)


def uncbor(data):
    """The value of CBOR as `cbor` writes it, and what is left behind it."""
    major, value, rest = data[0] >> 5, data[0] & 31, data[1:]
    if data[0] == 0xF6:
        return None, rest
    if value >= 24:
        size = 1 << value - 24
        value, rest = int.from_bytes(rest[:size], "big"), rest[size:]
    if major < 2:
        return (value if major == 0 else -1 - value), rest
    if major < 4:
        return (rest[:value] if major == 2 else rest[:value].decode()), rest[value:]
    items = []
    for _ in range(value * (major - 3)):
        item, rest = uncbor(rest)
        items.append(item)
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), rest
