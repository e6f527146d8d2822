"""Programs that tests start: what is missing comes by apt, where that is there and allowed."""

import os
import shutil

from tests.lab.ground import LabError, run, say

SEARCHED = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"))


def provide(*programs: str) -> None:
    """See that programs are there, each in a Debian package of its own name.

    Raises:
        LabError: one is missing and cannot be installed here; says what to do.
    """
    if (gone := _missing(programs)) and shutil.which("apt-get") and os.geteuid() == 0:
        say(f"installing {' and '.join(gone)} with apt-get")
        # RUNLEVEL: a packaged server must not start on this machine's own port.
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        run("apt-get", "-qq", "update", env=quiet)
        run("apt-get", "-qq", "install", "-y", "--no-install-recommends", *gone, env=quiet)
    if gone := _missing(programs):
        raise LabError(f"please install {' and '.join(gone)}, then run this again")


def _missing(programs: tuple[str, ...]) -> list[str]:
    return [program for program in programs if shutil.which(program, path=SEARCHED) is None]
