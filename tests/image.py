#!/usr/bin/env python3
"""Checks the Dockerfile where no container engine is, and replays its last stage.

    tests/image.py BINARY

The replay needs root on Debian 12. The machine's own system, read-only under an overlay, stands in for
debian:bookworm-slim (it has more packages, so that `ldd` is compared with the packages that every Debian
has). RUN and COPY happen in the overlay as written; then the entry point runs without capabilities as the
image's user in a network of its own until the health check passes, and must end with 0 on the stop signal.
"""

import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY_S = 30
# Packages of debian:bookworm-slim that hold the libraries of a Rust program.
BASE_PACKAGES = {"libc6", "libgcc-s1"}


def stages():
    """Splits the Dockerfile into stages of (instruction, rest)."""
    text = (ROOT / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    found = []
    for line in filter(str.strip, text.splitlines()):
        word, rest = line.split(None, 1)
        if word == "FROM":
            parts = rest.split()
            found.append({"base": parts[0], "name": parts[2] if len(parts) == 3 else "", "steps": []})
        else:
            found[-1]["steps"].append((word, rest.strip()))
    return found


def values(stage, word):
    return [rest for name, rest in stage["steps"] if name == word]


def copies(stage):
    """All COPY steps as (stage it comes from or None, sources, target)."""
    for rest in values(stage, "COPY"):
        *sources, target = rest.split()
        origin = sources.pop(0).split("=", 1)[1] if sources[0].startswith("--from=") else None
        yield origin, sources, target


def check(found):
    ignored = {line.strip("*/") for line in (ROOT / ".dockerignore").read_text().split()}
    names = []
    for stage in found:
        for origin, sources, _ in copies(stage):
            if origin:
                assert origin in names, f"COPY --from={origin}: no such stage before it"
                continue
            for source in sources:
                assert (ROOT / source).exists(), f"COPY {source}: not in the build context"
                assert source not in ignored, f"COPY {source}: kept out by .dockerignore"
        names.append(stage["name"])
    assert "target" in ignored and "node_modules" in ignored, ".dockerignore lets build results in"
    last = found[-1]
    assert last["base"] == "debian:bookworm-slim", "the runtime image must be small"
    user = values(last, "USER")[-1].split(":")[0]
    assert user.isdigit() and int(user) > 0, "the image must name a numeric user other than root"
    assert [word for word, _ in last["steps"]].count("HEALTHCHECK") == 1
    assert not any("apt-get" in step for step in values(last, "RUN"))
    # What the compiler promises in Cargo.toml is what the build stage has.
    version = re.search(r'rust-version = "(.*)"', (ROOT / "Cargo.toml").read_text()).group(1)
    assert found[1]["base"] == f"rust:{version}-bookworm", "the build stage has another Rust than Cargo.toml"


def run(arguments, **options):
    return subprocess.run(arguments, check=True, **options)


def libraries(binary):
    """The packages whose libraries the binary loads."""
    paths = re.findall(r"(/\S+) \(", run(["ldd", binary], capture_output=True, text=True).stdout)
    packages = set()
    for path in paths:
        # dpkg knows files by their path before /lib became a link to /usr/lib.
        for name in (path, path.removeprefix("/usr"), os.path.realpath(path)):
            owner = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True)
            if owner.returncode == 0:
                packages.add(owner.stdout.split(":")[0])
                break
        else:
            raise AssertionError(f"{path} belongs to no package")
    return packages


def loopback_up():
    """Does what `ip link set lo up` does, which not every machine has."""
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        name, flags = struct.unpack("16sh", fcntl.ioctl(control, get_flags, struct.pack("16sh", b"lo", 0)))
        fcntl.ioctl(control, set_flags, struct.pack("16sh", name, flags | up))


def replay(stage, binary):
    """Runs inside the new mount and network namespaces."""
    work = Path(tempfile.mkdtemp(prefix="konsil-image-"))
    run(["mount", "--make-rprivate", "/"])
    run(["mount", "-t", "tmpfs", "tmpfs", work])
    upper, inner, root = work / "upper", work / "inner", work / "root"
    for folder in (upper, inner, root):
        folder.mkdir()
    run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={inner}", root])
    for name in ("proc", "dev"):
        run(["mount", "--rbind", f"/{name}", root / name])
    loopback_up()
    built = {origin: binary for origin, _, _ in copies(stage) if origin}
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    folder, user, health, entry, command, stop = "/", "0:0", None, [], [], "SIGTERM"
    for word, rest in stage["steps"]:
        if word == "RUN":
            run(["chroot", root, "/bin/sh", "-c", rest], env=environment)
        elif word == "COPY":
            origin, sources, target = next(one for one in copies({"steps": [(word, rest)]}))
            goal = root / target.lstrip("/")
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(built[origin] if origin else ROOT / sources[0], goal)
            goal.chmod(0o755 if origin else 0o644)
        elif word == "USER":
            user = rest
        elif word == "ENV":
            environment.update(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "WORKDIR":
            folder = rest
        elif word == "HEALTHCHECK":
            health = json.loads(rest.split("CMD", 1)[1])
        elif word == "ENTRYPOINT":
            entry = json.loads(rest)
        elif word == "CMD":
            command = json.loads(rest)
        elif word == "STOPSIGNAL":
            stop = rest
        else:
            assert word in ("VOLUME", "EXPOSE"), f"{word}: this script does not know it"
    uid, gid = user.split(":")
    # Another user than root, without a way back: the kernel then takes all capabilities away.
    inside = ["chroot", f"--userspec={uid}:{gid}", "--groups=", root, "/usr/bin/setpriv", "--no-new-privs", "/usr/bin/env", f"--chdir={folder}"]
    server = subprocess.Popen([*inside, *entry, *command], env=environment, start_new_session=True)
    try:
        end = time.monotonic() + READY_S
        while subprocess.run([*inside, *health], env=environment, stderr=subprocess.DEVNULL).returncode != 0:
            assert server.poll() is None, f"the server ended with {server.returncode}"
            assert time.monotonic() < end, f"the health check does not pass within {READY_S} s"
            time.sleep(0.1)
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert re.search(rf"^Uid:\t{uid}\t{uid}\t", status, re.M), "the server runs as another user"
        assert re.search(r"^CapEff:\t0+$", status, re.M), "the server has capabilities"
        state = root / environment["STATE_DIRECTORY"].lstrip("/")
        assert oct((state / "run.json").stat().st_mode & 0o777) == "0o600"
        assert state.stat().st_mode & 0o777 == 0o700
        server.send_signal(getattr(signal, stop))
        assert server.wait(READY_S) == 0, f"the server ended with {server.returncode} when it was told to stop"
        assert not (state / "run.json").exists()
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def main():
    if sys.argv[1] == "--replay":
        replay(stages()[-1], Path(sys.argv[2]))
        return
    binary = Path(sys.argv[1]).resolve()
    found = stages()
    check(found)
    more = libraries(binary) - BASE_PACKAGES
    assert not more, f"the runtime image lacks {', '.join(sorted(more))}"
    print("image: the Dockerfile is sound and the binary needs no package that the runtime image lacks")
    if os.geteuid() != 0 or 'VERSION_ID="12"' not in Path("/etc/os-release").read_text():
        print("image: NOT REPLAYED, which needs root on Debian 12")
        return
    run(["unshare", "--mount", "--net", sys.executable, __file__, "--replay", binary])
    print("image: the runtime stage was replayed; its server became healthy and ended when told to")


main()
