#!/bin/sh
# Run the demo clip in an emulated arm64 system and on Python 3.13, and compare the decisions. See --help.
set -eu

help() {
    cat <<'HELP'
usage: sudo scripts/checks/arm64.sh [--cache DIR] [--only arm64|py313]

Runs the demo clip on this machine and
  arm64   in a Debian Bookworm for 64-bit ARM, as on a Raspberry Pi, emulated by qemu-user: Doorlight and its packages
          are installed there from wheels, without a network
  py313   on Python 3.13 with LiteRT only, as on Debian 13
and fails unless all decisions are the same: the same events and signals in the same order, with times that differ by at
most 0.5 s (the runtimes differ in the last bits).

It is not part of scripts/test. It needs root, a network for the first run, 2 GB of disk, and for arm64
    apt install mmdebstrap arch-test qemu-user-static
On two idle cores the first run takes about seven minutes, later runs about five. It changes nothing outside DIR, except
that it registers qemu for ARM programs.

  --cache DIR   keep systems and wheels in DIR for the next run (default: ~/.cache/doorlight)
HELP
}

lacks() {
    printf 'checks/arm64.sh: %s\n' "$1" >&2
    exit 69
}

cache="${HOME:-/root}/.cache/doorlight"
only=""
while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help)
        help
        exit 0
        ;;
    --cache | --only)
        [ -n "${2:-}" ] || { echo "checks/arm64.sh: $1 needs a value" >&2; exit 2; }
        case "$1 $2" in
        "--only arm64" | "--only py313") only="$2" ;;
        --cache*) cache="$(realpath -m -- "$2")" ;;
        *)
            echo "checks/arm64.sh: --only needs arm64 or py313" >&2
            exit 2
            ;;
        esac
        shift
        ;;
    *)
        echo "checks/arm64.sh: unknown option: $1 (see --help)" >&2
        exit 2
        ;;
    esac
    shift
done
cd "$(dirname "$0")/../.."
mkdir -p "$cache"
clip="$PWD/scripts/assets/demo/door.mp4"
log="$(mktemp -d)"
trap 'rm -rf "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- here: the decisions to compare with -----------------------------------------------------------------------------
python="${PYTHON:-}"
[ -n "$python" ] || { [ -x .venv/bin/python ] && python=.venv/bin/python; } ||
    lacks "there is no .venv: run scripts/demo first, or set PYTHON to an interpreter with Doorlight"
"$python" -m edge run --simulate --source "$clip" --events "$log/here.jsonl" >/dev/null

compare() {
    "$python" - "$log/here.jsonl" "$1" "$2" <<'PY'
import json
import sys

here, there = ([json.loads(line) for line in open(path)] for path in sys.argv[1:3])


def decisions(lines):
    return [(e["event"], e.get("signal"), e.get("person")) for e in lines if e["event"] not in ("started", "stopped")]


if decisions(here) != decisions(there) or not decisions(here):
    sys.exit(f"FAILED: {sys.argv[3]} decides differently:\n  here:  {decisions(here)}\n  there: {decisions(there)}")
difference = max(abs(a["t"] - b["t"]) for a, b in zip(here, there))
if difference > 0.5:
    sys.exit(f"FAILED: {sys.argv[3]} decides the same, but up to {difference:.2f} s apart")
print(f"ok: {sys.argv[3]} ({there[0]['runtime']}): the same {len(decisions(here))} decisions, at most {difference:.2f} s apart")
PY
}

# wheels_of PYTHON DIRECTORY: build Doorlight's wheel, and download its dependencies unless they are in DIRECTORY.
wheels_of() {
    rm -f "$2"/doorlight-*.whl
    "$1" -m pip --disable-pip-version-check wheel --quiet --wheel-dir "$2" --find-links "$2" "$3"
}

# --- Python 3.13, here -----------------------------------------------------------------------------------------------
check_py313() {
    # pyenv's python3.13 fails unless that version is selected.
    python3.13 -c '' 2>/dev/null || lacks "there is no python3.13 (Trixie has it; with pyenv: PYENV_VERSION=3.13.0)"
    [ -x "$cache/py313/bin/python" ] || python3.13 -m venv "$cache/py313"
    mkdir -p "$cache/py313-wheels"
    wheels_of "$cache/py313/bin/python" "$cache/py313-wheels" "$PWD"
    "$cache/py313/bin/python" -m pip --disable-pip-version-check install --quiet --no-index --force-reinstall \
        --find-links "$cache/py313-wheels" doorlight
    # In another folder: otherwise Python imports the checkout's modules instead of the installed ones.
    (cd / && "$cache/py313/bin/doorlight" run --simulate --source "$clip" --events "$log/py313.jsonl") >/dev/null
    compare "$log/py313.jsonl" "Python 3.13 on $(uname -m)"
}

# --- 64-bit ARM ------------------------------------------------------------------------------------------------------
check_arm64() {
    [ "$(id -u)" = 0 ] || lacks "needs root for chroot and mounts: sudo scripts/checks/arm64.sh"
    if [ "$(uname -m)" != aarch64 ]; then
        for tool in mmdebstrap arch-test; do
            command -v "$tool" >/dev/null || lacks "there is no $tool: apt install mmdebstrap arch-test qemu-user-static"
        done
        # In a container or after a minimal boot, qemu may be installed but not registered in the kernel.
        [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc ||
            lacks "the kernel has no binfmt_misc here"
        if [ ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]; then
            [ -e /usr/lib/binfmt.d/qemu-aarch64.conf ] || lacks "there is no qemu for ARM: apt install qemu-user-static"
            cat /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register
        fi
        arch-test arm64 >/dev/null || lacks "ARM programs do not run here, although qemu is registered"
    fi
    root="$cache/arm64"
    if [ ! -e "$root.complete" ]; then
        echo "building a Debian Bookworm for arm64 (the slow part) …"
        rm -rf --one-file-system "$root"
        mmdebstrap --quiet --arch=arm64 --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$root" \
            http://deb.debian.org/debian
        touch "$root.complete"
    fi
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    # Doorlight's wheel has no machine code and is built here. The ARM pip downloads the dependencies: another pip would choose
    # wheels for its own processor.
    mkdir -p "$root/wheels" "$log/wheel"
    "$python" -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir "$log/wheel" "$PWD"
    rm -f "$root"/wheels/doorlight-*.whl
    cp "$log"/wheel/doorlight-*.whl "$root/wheels/"
    cp "$clip" "$root/wheels/door.mp4"
    inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 chroot "$root" "$@"; }
    [ -x "$root/venv/bin/pip" ] || inside python3 -m venv /venv
    inside sh -c '/venv/bin/pip --disable-pip-version-check -q download -d /wheels --find-links /wheels /wheels/doorlight-*.whl'
    # From here on there is no network, not even a loopback device.
    # shellcheck disable=SC2016  # $1 belongs to the inner shell
    unshare --mount --net --propagation private -- sh -eu -c '
        mount -t proc proc "$1/proc"
        mount --bind /dev "$1/dev"
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 chroot "$1" sh -eu -c "
            /venv/bin/pip --disable-pip-version-check -q install --no-index --force-reinstall --find-links /wheels doorlight
            rm -f /tmp/events.jsonl*
            cd /tmp
            uname -m
            /venv/bin/doorlight run --simulate --source /wheels/door.mp4 --events /tmp/events.jsonl
        "' sh "$root" | tail -1
    cp "$root/tmp/events.jsonl" "$log/arm64.jsonl"
    compare "$log/arm64.jsonl" "Debian Bookworm on arm64"
}

[ "$only" = arm64 ] || check_py313
[ "$only" = py313 ] || check_arm64
