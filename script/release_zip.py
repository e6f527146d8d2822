"""Packs a folder's tracked files so that the same files always give the same archive."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

FOLDER, ARCHIVE = Path(sys.argv[1]), Path(sys.argv[2])

listing = subprocess.run(
    ["git", "ls-files", "-z", "."], cwd=FOLDER, capture_output=True, text=True, check=True
)
with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
    for name in sorted(filter(None, listing.stdout.split("\0"))):
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, (FOLDER / name).read_bytes())
