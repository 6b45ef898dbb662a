"""A made-up AWS: the chain from root to enclave, and documents of the Nitro Secure Module.

Layout: AWS Nitro Enclaves User Guide, "Verifying the root of trust"; COSE_Sign1, RFC 9052.
"""

import datetime
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from .pki import Authority, cbor, name, sign_raw

PCRS = {index: bytes([0x61 + index]) * 48 for index in (0, 1, 2, 3, 4, 8)}


class Nitro:
    """One PKI and the enclave that it speaks for."""

    def __init__(self, life=datetime.timedelta(hours=3)):
        place = {"C": "US", "O": "Amazon", "OU": "AWS"}
        sha = hashes.SHA384()

        def make(common, issuer=None, **options):
            key = ec.generate_private_key(ec.SECP384R1())
            return Authority(name(common, **place), issuer, key, digest=sha, **options)

        self.root = make("aws.nitro-enclaves")
        self.bundle = [self.root]
        for common in ("region.test.aws.nitro-enclaves", "zonal.test.aws.nitro-enclaves",
                       "i-0.test.aws.nitro-enclaves"):
            self.bundle.append(make(common, self.bundle[-1]))
        self.leaf = make("i-0-enc0.test.aws", self.bundle[-1], is_authority=False, life=life)

    def document(self, user_data, nonce=None, public_key=None, pcrs=None, skew=0):
        protected = cbor({1: -35})
        payload = cbor({
            "module_id": "i-0-enc0", "digest": "SHA384", "pcrs": PCRS | (pcrs or {}),
            "timestamp": int((time.time() + skew) * 1000), "certificate": self.leaf.der,
            "cabundle": [authority.der for authority in self.bundle], "user_data": user_data,
            "nonce": nonce, "public_key": public_key,
        })
        signed = cbor(["Signature1", protected, b"", payload])
        signature = sign_raw(self.leaf.key, signed, hashes.SHA384())
        return cbor([protected, {}, payload, signature])
