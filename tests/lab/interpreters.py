"""The CPython that a Home Assistant wants, wherever the laboratory runs."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.ground import LabError, lab_folder, run, say


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A minor version of CPython.

    Attributes:
        minor: of Python 3.
        micro: the oldest that will do.
        folder: of its own in the laboratory.
        suites: of each distribution that carry it, tried in this order.
    """

    minor: int
    micro: int
    folder: str
    suites: dict[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """Such as `python3.14`."""
        return f"python3.{self.minor}"

    def works(self, python: Path) -> bool:
        """Whether a program is such an interpreter, with all that Home Assistant imports."""
        versions = f"{(3, self.minor, self.micro)} <= sys.version_info[:3] < {(3, self.minor + 1)}"
        probe = (
            f"import sys, ssl, sqlite3, ctypes, lzma, bz2, zlib, hashlib;sys.exit(not {versions})"
        )
        try:
            return subprocess.run([python, "-c", probe], capture_output=True).returncode == 0
        except OSError:
            return False


# What the newest Home Assistant runs on, and the oldest that the integration is for.
NEWEST = Interpreter(
    14, 2, "python", {"debian": ("forky", "sid"), "ubuntu": ("resolute-updates", "resolute")}
)
OLDEST = Interpreter(13, 2, "python3.13", {"debian": ("trixie",), "ubuntu": ("questing", "plucky")})
# What those packages pull in that an interpreter in a folder does not use.
_NOT_NEEDED = {
    *("ca-certificates", "debconf", "libc-dev-bin", "libc6-dev", "libcrypt-dev", "libexpat1-dev"),
    *("linux-libc-dev", "media-types", "netbase", "openssl", "rpcsvc-proto", "tzdata"),
    "zlib1g-dev",
}
# Named by the interpreter itself, so that no wheel's own search path finds the system's older ones.
_PRELOADED = (
    "libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libresolv.so.2 libgcc_s.so.1 libstdc++.so.6"
)


def provide_python(wanted: Interpreter, uv: Path, patchelf: Path) -> Path:
    """Return a working interpreter: one that is there, uv's, or the distribution's newer packages.

    Args:
        wanted: which.
        uv: the uv program.
        patchelf: the patchelf program.

    Raises:
        LabError: no way worked; says what to install.
    """
    own = lab_folder() / wanted.folder / "usr" / "bin" / wanted.name
    for candidate in (own, *_on_this_machine(wanted)):
        if wanted.works(candidate):
            return candidate
    say(f"no Python 3.{wanted.minor}.{wanted.micro} or newer here; asking uv for one")
    found = _from_uv(wanted, uv)
    if found is None:
        say("uv could not fetch one; unpacking the distribution's newer packages beside the system")
        found = _from_packages(wanted, own, patchelf)
    say(f"Python {run(found, '-V').split()[1]} ready in {found.parent}")
    return found


def _on_this_machine(wanted: Interpreter) -> Iterator[Path]:
    yield Path(sys.executable)
    for name in (wanted.name, "python3"):
        if found := shutil.which(name):
            yield Path(found)


def _from_uv(wanted: Interpreter, uv: Path) -> Path | None:
    env = {"UV_PYTHON_INSTALL_DIR": str(lab_folder() / "uv-python"), "UV_HTTP_RETRIES": "1"}
    version = f"3.{wanted.minor}"
    try:
        run(uv, "python", "install", "-q", "--no-bin", version, env=env)
        found = Path(run(uv, "python", "find", "--managed-python", version, env=env).strip())
    except LabError:
        return None
    return found if wanted.works(found) else None


def _from_packages(wanted: Interpreter, python: Path, patchelf: Path) -> Path:
    release = _os_release()
    suites = wanted.suites.get(release.get("ID", ""), ())
    tried = []
    for suite in suites:
        try:
            _unpack(wanted, python.parents[2], release, suite)
            _tie_to_own_libraries(python, patchelf)
        except LabError as error:
            tried.append(f"{suite}: {error}")
        if wanted.works(python):
            return python
    raise LabError(
        f"Home Assistant needs Python 3.{wanted.minor}.{wanted.micro} or newer and none could be "
        f"fetched. Install one so that `{wanted.name}` is on the PATH, then run this again.\n"
        + "\n".join(tried)
    )


def _unpack(wanted: Interpreter, prefix: Path, release: dict[str, str], suite: str) -> None:
    """Unpack the interpreter and all its libraries, down to libc, into `prefix`."""
    apt = lab_folder() / "apt"
    shutil.rmtree(apt, ignore_errors=True)
    shutil.rmtree(prefix, ignore_errors=True)
    for folder in (
        *("etc/apt/preferences.d", "etc/apt/apt.conf.d", "etc/apt/sources.list.d"),
        *("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg", "debs"),
    ):
        (apt / folder).mkdir(parents=True)
    prefix.mkdir(parents=True)
    # An empty status file makes apt name the whole closure of libraries, installed or not.
    (apt / "var/lib/dpkg/status").touch()
    keyring = f"/usr/share/keyrings/{release['ID']}-archive-keyring.gpg"
    source = f"deb [signed-by={keyring}] {_mirror(release)} {suite} main universe\n"
    if release["ID"] == "debian":
        source = source.replace(" universe", "")
    (apt / "etc/apt/sources.list").write_text(source)
    options = (
        *("-qq", "-o", f"Dir={apt}", "-o", f"Dir::State::status={apt}/var/lib/dpkg/status"),
        *("-o", "Dir::Etc::trustedparts=/etc/apt/trusted.gpg.d", "-o", "APT::Sandbox::User=root"),
    )
    run("apt-get", *options, "update")
    packages = (wanted.name, f"{wanted.name}-venv", f"lib{wanted.name}-dev", "libstdc++6")
    plan = run("apt-get", *options, "-s", "install", "--no-install-recommends", *packages)
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    needed = [n for n in names if n not in _NOT_NEEDED and not n.endswith(("-base", "-whl"))]
    say(f"downloading {len(needed)} packages of {suite}")
    run("apt-get", *options, "download", *needed, cwd=apt / "debs")
    for package in sorted((apt / "debs").glob("*.deb")):
        run("dpkg-deb", "-x", package, prefix)
    shutil.rmtree(apt)


def _tie_to_own_libraries(python: Path, patchelf: Path) -> None:
    prefix = python.parents[2]
    multiarch = sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu"
    libraries = prefix / "usr" / "lib" / multiarch
    loaders = sorted(libraries.glob("ld-linux*.so.*"))
    if not loaders or not python.exists():
        raise LabError(f"the packages hold no interpreter for {multiarch}")
    headers = prefix / "usr" / "include"
    # The packaged header only redirects to the system's; sdists need the real one.
    shutil.copy(headers / multiarch / python.name / "pyconfig.h", headers / python.name)
    run(patchelf, "--set-interpreter", loaders[0], python)
    # DT_RPATH, not RUNPATH: extension modules inherit it.
    run(patchelf, "--force-rpath", "--set-rpath", libraries, python)
    for library in _PRELOADED.split():
        run(patchelf, "--add-needed", library, python)


def _mirror(release: dict[str, str]) -> str:
    """The archive that this machine already uses."""
    targets = run(
        *("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
    )
    for line in targets.splitlines():
        uri, suite = line.split(maxsplit=1)
        if suite == release.get("VERSION_CODENAME"):
            return uri
    raise LabError("apt knows no archive of this distribution")


def _os_release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {k: v.strip('"') for k, _, v in (line.partition("=") for line in lines) if v}
