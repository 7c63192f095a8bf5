"""Jars from Maven Central, resolved once and kept below `.cache/`.

`python tests/services/java.py` fetches all that the tests want, so that no test waits for it.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from services.missing import Missing

_HERE = Path(__file__).resolve().parent
CACHE = _HERE.parents[1] / ".cache"


def classpath(name: str) -> str:
    """Give the class path that `java/<name>.xml` asks for. Raises Missing if it cannot be had."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise Missing(f"{tool} is not installed (apt install openjdk-17-jre-headless maven)")
    pom = _HERE / "java" / f"{name}.xml"
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    known = CACHE / "java" / f"{name}-{digest}.classpath"
    if known.exists():
        text = known.read_text()
        if all(Path(jar).exists() for jar in text.split(":")):
            return text
    known.parent.mkdir(parents=True, exist_ok=True)
    fresh = known.with_suffix(".part")
    command = ["mvn", "-B", "-q", "-f", str(pom), f"-Dmaven.repo.local={CACHE / 'm2'}"]
    command += ["org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"]
    command += [f"-Dmdep.outputFile={fresh}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise Missing(f"Maven could not resolve {pom.name}: {done.stdout.strip()[:500]}")
    fresh.replace(known)
    return known.read_text()


def main() -> int:
    """Resolve every class path; tell what cannot be had."""
    failed = False
    for pom in sorted((_HERE / "java").glob("*.xml")):
        try:
            classpath(pom.stem)
        except Missing as missing:
            failed = True
            sys.stderr.write(f"{pom.stem}: {missing}\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
