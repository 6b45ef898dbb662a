"""What the README's first command shows comes true, to its last line."""

import subprocess


def test_the_demo_ends_as_it_says(context):
    done = subprocess.run([context.ratel, "demo"], capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert "Done: one stream served, three peers refused." in said, said[-3000:]
