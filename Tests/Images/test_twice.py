"""The image is the same bytes in another directory and on another date.

Both builds start from nothing, so this takes two compilations.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from support import ROOT, run

import archive
import oci
import root
from refusal import Refusal

# In the second, the clock of the build, but for the compiler's, is a year ahead; the compiler
# gets the same addresses in every run, and a library that is loaded before it would move them.
PLACES = [("a", []), ("another/place/with-a-longer-name", ["faketime", "-f", "+400d"])]
DATES = [(1_000_000_000, 1_000_000_000), (1_900_000_000, 1_900_000_000)]


def test_two_builds_have_one_digest():
    with tempfile.TemporaryDirectory(prefix="ratel-twice-") as folder:
        builds = []
        for (name, clock), date in zip(PLACES, DATES):
            place = pathlib.Path(folder, name, "ratel")
            run("git", "clone", "-q", ROOT, place)
            for path in place.rglob("*"):
                if ".git" not in path.parts:
                    os.utime(path, date, follow_symlinks=False)
            words = [*clock, sys.executable, "Images/ratel/build.py", "--output", ".build/image"]
            builds.append((place, subprocess.Popen(
                words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)))
        found = []
        for place, build in builds:
            shown, _ = build.communicate(timeout=1800)
            assert build.returncode == 0, shown[-3000:]
            assert "Compiling" in shown, "the binary was not built anew"
            built = place / ".build/image"
            found.append({
                path.relative_to(built): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(built.rglob("*")) if path.is_file()})
            digest = (built / "digest").read_text().strip()
            print(f"    {digest}  {place.relative_to(folder)}")
        assert found[0] == found[1], {
            str(name) for name in found[0] if found[0][name] != found[1].get(name)}


def test_another_byte_is_another_digest():
    lock = archive.load(ROOT / "Images/ratel/lock.json")
    packages = archive.fetch(ROOT / "Images/ratel/lock.json")
    program = next((ROOT / ".build/image/binary").glob("*/ratel")).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        digests = set()
        for index, data in enumerate((program, program[:-1] + bytes([program[-1] ^ 1]))):
            place = pathlib.Path(folder, str(index))
            entries = root.assemble(data, packages)
            digests.add(oci.write(
                entries, lock, "0", root.USER, place, pathlib.Path(folder, f"{index}.tar")))
    assert len(digests) == 2


def test_a_package_that_is_not_the_pinned_one_is_refused():
    """Served by a mirror, or left in the cache by somebody: neither is taken."""
    lock = archive.load(ROOT / "Images/ratel/lock.json")
    one = dict(min(lock["packages"], key=lambda package: package["size"]))
    good = archive.fetch_one(one, lock, archive.CACHE)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copy(good, folder / good.name)
        (folder / good.name).write_bytes(b"changed")
        again = archive.fetch_one(one, lock, folder)
        assert again.read_bytes() == good.read_bytes()
        for field, value in (("sha256", "0" * 64), ("size", one["size"] - 1)):
            wrong = {**one, field: value}
            try:
                archive.fetch_one(wrong, lock, folder / "empty" if field == "size" else folder)
            except Refusal as refusal:
                assert refusal.code == "image.package.digest", refusal
            else:
                raise AssertionError(f"taken with another {field}")
