"""Stand-ins for the kernel's interfaces to roots of trust, and for Intel's quoting service.

A process started with `Devices.environment` sees, below `Devices.root`, what a machine of that kind
would show: `tsm` (configfs-tsm), `attestation` (Gramine), `nsm`, `tdx_guest`. devices.c asks here
for each call; faults are set on the objects while it runs.
"""

import errno
import pathlib
import shutil
import socketserver
import struct
import subprocess
import threading

from minting.pki import cbor, uncbor

HERE = pathlib.Path(__file__).resolve().parent
MKDIR, RMDIR, EXISTS, READ, WRITE, IOCTL = range(1, 7)


class Devices:
    """What is mounted where; empty until something is."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.root = f"{directory}/standin"
        self.mounted = {}
        self.lock = threading.RLock()
        self.address = f"{directory}/standin.sock"
        self.server = serve(self.address, Call, self)
        library = compiled(self.directory)
        self.environment = {
            "LD_PRELOAD": str(library), "RATEL_STANDIN": self.address,
            "RATEL_STANDIN_ROOT": self.root,
            "RATEL_TSM_REPORTS": f"{self.root}/tsm", "RATEL_GRAMINE": f"{self.root}/attestation",
            "RATEL_NSM": f"{self.root}/nsm", "RATEL_TDX_GUEST": f"{self.root}/tdx_guest",
        }

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, op, path, data):
        first, _, rest = path.lstrip("/").partition("/")
        with self.lock:
            if first not in self.mounted:
                raise OSError(errno.ENOENT, path)
            device = self.mounted[first]
        return device.answer(op, rest, data)


def compiled(directory, name="devices"):
    library = directory / f"{name}.so"
    if not library.exists():
        # The Swift toolchain brings a compiler along.
        clang = pathlib.Path(shutil.which("swift")).resolve().parent / "clang"
        command = [clang, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library]
        subprocess.run([*command, HERE / f"{name}.c", "-ldl", "-pthread"], check=True)
    return library


def serve(address, handler, owner):
    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        request_queue_size = 64

    server = Server(address, handler)
    server.owner = owner
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


class Call(socketserver.BaseRequestHandler):
    """One call of the preloaded library."""

    def handle(self):
        op, size = struct.unpack("<BH", exactly(self.request, 3))
        path = exactly(self.request, size).decode()
        (size,) = struct.unpack("<I", exactly(self.request, 4))
        data = exactly(self.request, size)
        try:
            code, answer = 0, self.server.owner.answer(op, path, data) or b""
        except OSError as error:
            code, answer = error.errno, b""
        self.request.sendall(struct.pack("<II", code, len(answer)) + answer)


class TSM:
    """configfs-tsm, as Documentation/ABI/testing/configfs-tsm-report describes it.

    `make` gives the report for 64 bytes and, with `privlevel`, a privilege level; `auxiliary` gives
    the auxblob. Faults: `busy` and `interrupted` reads that fail first, `conflicts` reports that
    somebody else's write spoils, `lost` writes that never arrive, `empty` reports, `refusal` of
    each entry.
    """

    def __init__(self, provider, make, auxiliary=None, floor=None):
        self.provider, self.make, self.auxiliary, self.floor = provider, make, auxiliary, floor
        self.entries, self.lock = {}, threading.RLock()
        self.made = self.removed = 0
        self.heal()

    def heal(self):
        self.busy = self.interrupted = self.conflicts = self.lost = self.refusal = 0
        self.empty = False

    def answer(self, op, path, data):
        with self.lock:
            name, _, attribute = path.partition("/")
            if not name:
                return None if op == EXISTS else self.fail(errno.EPERM)
            if op == MKDIR:
                return self.add(name)
            if name not in self.entries:
                self.fail(errno.ENOENT)
            entry = self.entries[name]
            if op == RMDIR:
                del self.entries[name]
                self.removed += 1
                return None
            if op == EXISTS:
                return None if attribute in self.attributes() else self.fail(errno.ENOENT)
            if op == WRITE:
                return self.write(entry, attribute, data)
            return self.read(entry, attribute)

    def attributes(self):
        names = ["provider", "generation", "inblob", "outblob"]
        names += ["auxblob"] if self.auxiliary else []
        return names + (["privlevel", "privlevel_floor"] if self.floor is not None else [])

    def add(self, name):
        if self.refusal:
            self.fail(self.refusal)
        if name in self.entries:
            self.fail(errno.EEXIST)
        self.entries[name] = {"generation": 0, "inblob": None, "privlevel": 0}
        self.made += 1

    def write(self, entry, attribute, data):
        if self.lost and attribute == "inblob":
            self.lost -= 1
            return
        if attribute == "inblob" and 0 < len(data) <= 64:
            entry["inblob"] = data
        elif attribute == "privlevel" and self.floor is not None:
            level = int(data)
            if not self.floor <= level <= 3:
                self.fail(errno.EINVAL)
            entry["privlevel"] = level
        else:
            self.fail(errno.EINVAL)
        entry["generation"] += 1

    def read(self, entry, attribute):
        if attribute == "provider":
            return self.provider.encode() + b"\n"
        if attribute == "generation":
            return b"%d\n" % entry["generation"]
        if attribute == "privlevel_floor" and self.floor is not None:
            return b"%d\n" % self.floor
        if attribute not in ("outblob", "auxblob") or entry["inblob"] is None:
            self.fail(errno.EINVAL)
        if attribute == "auxblob":
            return self.auxiliary()
        if self.busy:
            self.busy -= 1
            self.fail(errno.EBUSY)
        if self.interrupted:
            self.interrupted -= 1
            self.fail(errno.EINTR)
        asked = entry["inblob"]
        if self.conflicts:
            self.conflicts -= 1
            entry["generation"] += 1
            asked = b"\xee" * 64
        if self.empty:
            return b""
        if self.floor is None:
            return self.make(asked)
        return self.make(asked, vmpl=entry["privlevel"])

    def fail(self, code):
        raise OSError(code, "")


class Gramine:
    """The pseudo-files of Gramine's attestation."""

    def __init__(self, make):
        self.make, self.report_data = make, bytes(64)

    def answer(self, op, path, data):
        if path not in ("user_report_data", "quote"):
            raise OSError(errno.ENOENT, path)
        if op == WRITE and path == "user_report_data":
            self.report_data = data.ljust(64, b"\0")
        elif op == READ:
            return self.make(self.report_data) if path == "quote" else self.report_data
        return None


class NSM:
    """The Nitro Secure Module; `failure` is the name of an error that it answers."""

    def __init__(self, make):
        self.make, self.failure = make, None

    def answer(self, op, path, data):
        if op != IOCTL:
            return None
        if self.failure:
            return cbor({"Error": self.failure})
        request, rest = uncbor(data)
        if rest or list(request) != ["Attestation"]:
            return cbor({"Error": "InvalidOperation"})
        fields = request["Attestation"]
        document = self.make(fields["user_data"], fields["nonce"], fields["public_key"])
        return cbor({"Attestation": {"document": document}})


class TDXGuest:
    """The device of a trust domain: a TDREPORT over 64 bytes, as far as a quote needs it."""

    def answer(self, op, path, data):
        if op != IOCTL:
            return None
        return data[:64] + b"\x81" + bytes(127) + data[:64] + bytes(1024 - 192)


class QuotingService:
    """Intel's quoting service on a Unix socket, which quotes TDREPORTs of `TDXGuest`.

    `failure` is the error that it answers; `silent`, whether it answers at all.
    """

    def __init__(self, directory, make):
        self.make, self.failure, self.silent = make, 0, False
        self.path = f"{directory}/qgs.sock"
        self.server = serve(self.path, Quoting, self)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, message):
        major, _, kind, size, _, report, identifiers = struct.unpack_from("<HHIIIII", message)
        good = (major, kind, size, report, identifiers) == (1, 0, len(message), 1024, 0)
        failure = self.failure or (0 if good else 0x12001)
        quote = b"" if failure else self.make(message[24 + 128:24 + 192])
        body = struct.pack("<II", 0, len(quote)) + quote
        return struct.pack("<HHIII", 1, 1, 1, 16 + len(body), failure) + body


class Quoting(socketserver.BaseRequestHandler):
    """One request to the quoting service."""

    def handle(self):
        (size,) = struct.unpack(">I", exactly(self.request, 4))
        message = exactly(self.request, size)
        if self.server.owner.silent:
            return
        answer = self.server.owner.answer(message)
        self.request.sendall(struct.pack(">I", len(answer)) + answer)
