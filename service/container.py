"""What starts in the container: becomes an ordinary user, then the service with the same arguments.

Supervisor starts an app as root and mounts a `/data` that only root may write, so the service
cannot be an ordinary user from the start. Compose names the user itself; then nothing is done here.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

USER = 1000  # of the image's user `voices`, and its group
DATA = Path("/data")
_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS of prctl(2)


def main() -> int:
    """Replace this process by the service; returns only when it may not become an ordinary user."""
    if os.geteuid() == 0:
        try:
            hand_over(DATA)
            become_ordinary()
        except PermissionError as error:
            print(
                f"the container was started as root, but may not become user {USER} ({error}); "
                f"start it with --user {USER}:{USER}, or leave it CHOWN, SETUID and SETGID",
                file=sys.stderr,
            )
            return 77
    os.execv(sys.executable, [sys.executable, "-m", "service", *sys.argv[1:]])


def hand_over(data: Path) -> None:
    """Give the folder and all in it to the ordinary user, as often as it starts.

    Supervisor writes its options anew each time. Links are changed themselves and never followed:
    what lies in the folder came from a network.

    Raises:
        PermissionError: this root may not give files away.
    """
    for path in (data, *_below(data)):
        found = path.lstat()
        if (found.st_uid, found.st_gid) != (USER, USER):
            os.chown(path, USER, USER, follow_symlinks=False)


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def become_ordinary() -> None:
    """Drop root's rights for good.

    Raises:
        PermissionError: this root may not change users.
    """
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    # Nothing that is started from here gains rights again, by a setuid program for example.
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
