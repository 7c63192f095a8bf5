"""10,000 webhook calls, a third of them again, some forged, with kills meanwhile: each once.

`PYTHONPATH=tests python -m benchmarks.webhooks [--calls 10000] [--kills 10] [--seed 1]`
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from services.ports import free_port
from support.hooks import SECRET
from support.project import Project
from support.webhook_calls import PIPELINE, call_and_kill


def main() -> int:
    """Run it and print what came of it; 1 if a delivery was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    os.environ["ORDERS_SECRET"] = SECRET
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        project = Project.make(Path(folder, "p"), PIPELINE, f'http = "127.0.0.1:{port}"\n')
        url = f"http://127.0.0.1:{port}"
        found = call_and_kill(project, url, given.calls, given.kills, given.seed)
    print(json.dumps(found, indent=2))
    wrong = ("lost", "doubled", "rows lost", "rows doubled", "wrong answers")
    return 1 if any(found[name] for name in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
