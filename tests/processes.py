"""Programs run in a Python process of their own."""

import os
import subprocess
import sys
import tempfile

# Long enough to compile every kernel on a busy machine; only a hang takes longer.
TIMEOUT = 300


def run_python(program, *arguments, path=(), **variables):
    """Run `program` and return its standard output and standard error.

    path        folders that come first on the import path
    variables   environment variables, None to leave one out
    """
    folders = map(os.path.abspath, [*path, *sys.path])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    for name, value in variables.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        cwd=tempfile.gettempdir(),  # where Python looks first: not among the sources
    )  # fmt: skip
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr
