"""Make a wheel of this machine one for others: copy the libraries that it needs into it.

auditwheel copies the libraries and names the platforms. This script adds the license of these
libraries, and writes the archive so that equal contents give equal bytes. Python's standard library
and auditwheel on the PATH suffice, so that it runs in every container that builds wheels.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

LICENSE = Path(__file__).parent / "licenses" / "GCC-runtime-libraries.txt"
EXPRESSION = "GPL-3.0-or-later WITH GCC-exception-3.1"
COVERED = ("libgomp", "libstdc++", "libgcc_s")  # by this license


def main() -> None:
    """Repair the wheel that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path, help="where the repaired wheel goes")
    arguments = parser.parse_args()
    print(repair(arguments.wheel, arguments.folder))


def repair(wheel: Path, folder: Path) -> Path:
    """Write the repaired wheel to a folder and return its path."""
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["auditwheel", "repair", "--wheel-dir", work, str(wheel)], check=True)
        (repaired,) = Path(work).iterdir()
        with zipfile.ZipFile(repaired) as archive:
            modes = {entry.filename: entry.external_attr for entry in archive.infolist()}
            files = {name: archive.read(name) for name in modes if not name.endswith("/")}
        add_license(files)
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / repaired.name, files, modes)
    return folder / repaired.name


def add_license(files: dict[str, bytes]) -> None:
    """Add the license of the copied libraries, if there are any, to the files of a wheel."""
    libraries = [name for name in files if re.match(r"[^/]+\.libs/", name)]
    for name in libraries:
        if not name.partition("/")[2].startswith(COVERED):
            sys.exit(f"{name}: {LICENSE.name} must cover each library, but does not cover this one")
    if libraries:
        (metadata,) = [name for name in files if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        files[f"{metadata.rpartition('/')[0]}/licenses/{LICENSE.name}"] = LICENSE.read_bytes()
        text, replaced = re.subn(
            rb"(?m)^(License-Expression: .*)$\n((?:License-File: .*\n)*)",
            rb"\1 AND %s\n\2License-File: %s\n" % (EXPRESSION.encode(), LICENSE.name.encode()),
            files[metadata],
            count=1,
        )
        if not replaced:
            sys.exit(f"{metadata}: must have a line License-Expression")
        files[metadata] = text


def write(path: Path, files: dict[str, bytes], modes: dict[str, int]) -> None:
    """Write a wheel with a new RECORD; all of its entries have the time SOURCE_DATE_EPOCH."""
    (record,) = [name for name in files if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)]
    rows = io.StringIO()
    lines = csv.writer(rows, lineterminator="\n")
    for name in sorted(files.keys() - {record}):
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=")
        lines.writerow([name, f"sha256={digest.decode()}", len(files[name])])
    lines.writerow([record, "", ""])
    files[record] = rows.getvalue().encode()
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    date = time.gmtime(max(seconds, 315532800))[:6]  # 1980, where the times of archives begin
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        # The metadata last, as the format of wheels recommends.
        for name in sorted(files, key=lambda name: (".dist-info/" in name, name)):
            entry = zipfile.ZipInfo(name, date)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = modes.get(name, 0o644 << 16)
            archive.writestr(entry, files[name])


if __name__ == "__main__":
    main()
