"""The peer's interpreter: stock Metaflow in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = ("metaflow==2.19.39", "numpy==2.4.6", "pandas==3.1.1", "pyarrow==26.0.1", "boto3==1.44.8")

_FOLDER = Path(__file__).parents[1] / ".venv-bench"


def peer_python(folder: Path = _FOLDER) -> Path:
    """Interpreter that has the peer; installed into ``folder`` when it is not there.

    Raises
    ------
    subprocess.CalledProcessError
        When it cannot be installed.
    """
    python = folder / "bin" / "python"
    stamp = folder / "installed.txt"
    wanted = "\n".join(REQUIREMENTS)
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {', '.join(REQUIREMENTS)} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        compiled = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
        subprocess.run(install, check=True, env=compiled)
        stamp.write_text(wanted)
    return python
