"""The Containerfile, by buildah: on bases made here from Debian's mirror, with the compiler and the
dependencies of this machine, so that nothing but that mirror is asked."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from support import ROOT, Engine, run

import archive
import binary


def test_it_builds_and_runs():
    with tempfile.TemporaryDirectory(prefix="ratel-containerfile-") as folder:
        folder = pathlib.Path(folder)
        engine = Engine(folder)
        bases(folder, engine)
        lock = archive.load(ROOT / "Images/ratel/lock.json")
        mirrors = folder / "mirrors"
        mirrors.mkdir()
        settings = []
        for one in lock["dependencies"]:
            shutil.copytree(binary.dependency(one), mirrors / one["identity"])
            settings.append(f'[url "/mirrors/{one["identity"]}"]\n insteadOf = {one["url"]}\n')
        (mirrors / "gitconfig").write_text("[safe]\n directory = *\n" + "".join(settings))
        toolchain = binary.compiler().parents[2]
        buildah(
            folder, engine, "bud", "--isolation", "chroot",
            "--timestamp", str(lock["source_date_epoch"]),
            "--ignorefile", ROOT / "Images/ratel/Containerfile.dockerignore",
            "--build-arg", "BUILDER=localhost/builder", "--build-arg", "BASE=localhost/base",
            "-v", f"{toolchain}:/opt/swift:ro", "-v", f"{mirrors}:/mirrors:ro",
            "-f", ROOT / "Images/ratel/Containerfile", "-t", "localhost/ratel:containerfile", ROOT)
        shown = engine("run", "--rm", "--network", "none", *engine.CONFINED,
                       "localhost/ratel:containerfile", "--version").stdout
        assert shown.strip(), shown
        config = json.loads(engine("inspect", "localhost/ratel:containerfile").stdout)[0]["Config"]
        assert config["User"] == "65532:65532", config
        names = set(files(engine))
        assert "usr/bin/ratel" in names and not names & {"bin/sh", "usr/bin/sh", "usr/bin/dpkg"}
        print(f"    ratel {shown.strip()}, {len(names)} files")


def bases(folder, engine):
    """Debian 12 with what the compiler needs, and Debian 13."""
    compiler = "ca-certificates,git,gcc,libc6-dev,libstdc++-12-dev,libcurl4,libxml2,libncurses6," \
        "libsqlite3-0,libedit2,libpython3.11,tzdata"
    for suite, name, more in (("bookworm", "builder", compiler), ("trixie", "base", "")):
        archive_file = folder / f"{suite}.tar"
        include = [f"--include={more}"] if more else []
        run("mmdebstrap", "--quiet", "--variant=minbase", *include, suite, archive_file,
            f"{archive.MIRROR}/debian", timeout=600)
        path = "/opt/swift/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        engine("import", "--change", f"ENV PATH={path}",
               "--change", "ENV GIT_CONFIG_GLOBAL=/mirrors/gitconfig", archive_file,
               f"localhost/{name}", timeout=300)
        archive_file.unlink()


def buildah(folder, engine, *words):
    place = ["--root", folder / "store", "--runroot", folder / "run", "--storage-driver", "vfs"]
    done = subprocess.run(
        [str(word) for word in ("buildah", *place, *words)], capture_output=True, text=True,
        env={**os.environ, **engine.environment}, timeout=1800)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


def files(engine):
    name = engine("create", "localhost/ratel:containerfile").stdout.strip()
    place = pathlib.Path(engine("mount", name).stdout.strip())
    try:
        for path in place.rglob("*"):
            yield str(path.relative_to(place))
    finally:
        engine("umount", name)
        engine("rm", name)
