"""What appraising Evidence costs a relying party, in CPU microseconds, of recorded Evidence."""

import datetime
import json
import subprocess

import tools

CASES = {"tpm": "tpm/azure-snp-milan-challenge", "tdx": "tdx/v4-gcp-cos113-ccel-uptodate",
         "snp": "snp/genoa-v3-azure", "nvidia_gpu": "nvidia/h100-535-with-vbios-rim"}
ROUNDS = 300


def costs(directory):
    """Kind → microseconds, what it takes on authorities and platform known; {} without the tool."""
    bench, vectors = directory / "EvidenceBench", tools.SHARED.parent / "vectors"
    if not bench.exists() or not vectors.is_dir():
        return {}
    words = []
    for case in CASES.values():
        text = json.loads((vectors / case / "vector.json").read_text())["verify_at"]
        at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
        words.append(f"{vectors / case}={int(at)}")
    done = subprocess.run([bench, "warm", str(ROUNDS), *words], capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()] if not done.returncode else []
    return {kind: float(line[-1]) for kind, line in zip(CASES, lines)}
