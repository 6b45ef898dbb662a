"""The exporter secret of one TLS 1.3 connection, by the key log of Python's `ssl`."""

import os
import re


class KeyLog:
    """In memory without a name: it holds the traffic's keys too."""

    def __init__(self):
        self.file = os.memfd_create("keylog")
        self.path = f"/proc/self/fd/{self.file}"

    def exporter_secret(self):
        found = re.search(rb"^EXPORTER_SECRET \w+ (\w+)", os.pread(self.file, 65536, 0), re.M)
        os.close(self.file)
        return bytes.fromhex(found[1].decode())
