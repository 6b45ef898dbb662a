"""vLLM on the CPU, with the tiny model."""

import os
import pathlib
import re
import sys
import urllib.request

from harness import Process, free_port, wait_until

LAB = pathlib.Path(os.environ.get("RATEL_LAB", pathlib.Path.home() / ".cache" / "ratel-lab"))
# Nothing is downloaded and nothing is reported; 1 GiB is enough cache for 64 short streams.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
}
KEY = "sk-test"


class Server(Process):
    """Ready when it returns: some 40 s after it was started."""

    def __init__(self, directory, unix=False):
        self.port, self.path = (None, f"{directory}/vllm.sock") if unix else (free_port(), None)
        place = ["--uds", self.path] if unix else ["--host", "127.0.0.1", "--port", self.port]
        command = [pathlib.Path(sys.prefix) / "bin" / "vllm", "serve", LAB / "ratel-tiny"]
        command += ["--served-model-name", "tiny", "--load-format", "dummy", *place]
        command += ["--max-model-len", "1024", "--dtype", "float32", "--enforce-eager"]
        command += ["--enable-log-requests"]  # It then says which requests were aborted.
        if unix:
            command += ["--api-key", KEY, "--enable-auto-tool-choice"]
            command += ["--tool-call-parser", "hermes"]
        super().__init__("vllm-uds" if unix else "vllm", command, directory, ENVIRONMENT)

    def wait(self):
        def ready():
            if not self.running():
                raise AssertionError(f"vLLM ended: {self.text()[-3000:]}")
            return "Application startup complete" in self.text()

        wait_until(ready, 300, "vLLM")

    def metric(self, name, **labels):
        """The sum of a metric over the label sets that match."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as page:
            text = page.read().decode()
        total = 0.0
        for line in text.splitlines():
            match = re.match(rf"{re.escape(name)}(\{{.*\}})? (\S+)$", line)
            if match and all(f'{key}="{value}"' in line for key, value in labels.items()):
                total += float(match.group(2))
        return total
