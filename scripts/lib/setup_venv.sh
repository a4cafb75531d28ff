# shellcheck shell=sh
# Sourced by scripts/demo and scripts/test: makes .venv in the checkout with exactly what is needed, once.
# usage: setup_venv EXTRAS   ("" or "dev" or "dev,train")

setup_venv() {
    extras="$1"
    python="${PYTHON:-python3}"
    if ! command -v "$python" >/dev/null 2>&1; then
        echo "doorlight: there is no $python; on Debian or Raspberry Pi OS: sudo apt install python3 python3-venv" >&2
        exit 69
    fi
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "doorlight: $("$python" --version) is too old, 3.11 or newer is needed (Debian 12, Raspberry Pi OS Bookworm);" >&2
        echo "           another interpreter can be named: PYTHON=python3.11 $0" >&2
        exit 69
    fi
    # What pip would only call "no matching distribution": there are few packages for 32 bits.
    "$python" - <<'EOF' || exit 69
import platform
import sys

wrong = None
if sys.maxsize < 2**32 and platform.machine() == "aarch64":
    wrong = "this Python has 32 bits under a 64-bit kernel, and pip would choose packages for 64"
elif sys.maxsize < 2**32 and sys.version_info >= (3, 12):
    wrong = "for 32 bits there is a TFLite runtime for Python 3.11 (Bookworm) only"
if wrong:
    print(f"doorlight: {wrong}", file=sys.stderr)
    print("           install the 64-bit Raspberry Pi OS (or a 32-bit Bookworm with arm_64bit=0", file=sys.stderr)
    print("           in /boot/firmware/config.txt)", file=sys.stderr)
    sys.exit(1)
EOF
    if [ -d .venv ] && ! .venv/bin/python -m pip --version >/dev/null 2>&1 &&
        ! .venv/bin/python -m ensurepip >/dev/null 2>&1; then
        echo "doorlight: .venv is broken (an interrupted installation?), making it anew" >&2
        rm -rf .venv
    fi
    if [ ! -d .venv ]; then
        # Debian splits venv off Python: ensurepip is what is missing then.
        if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            echo "doorlight: Python's venv module is missing; install it with: sudo apt install python3-venv" >&2
            exit 69
        fi
        echo "making .venv …" >&2
        "$python" -m venv .venv || exit 69
    fi
    # Installed again only when what is asked for has changed, or the checkout has moved; extras that are there stay.
    stamp="$(cksum <pyproject.toml) $PWD"
    have=""
    if [ "$(sed -n 1p .venv/.doorlight 2>/dev/null)" = "$stamp" ]; then
        have="$(sed -n 2p .venv/.doorlight)"
    fi
    all="$(printf 'run,%s,%s' "$have" "$extras" | tr ',' '\n' | sed '/^$/d' | sort -u | paste -sd, -)"
    if [ "$all" != "$have" ]; then
        named="$(printf '%s' "$all" | tr ',' '\n' | sed '/^run$/d' | paste -sd, -)"
        echo "installing what Doorlight needs${named:+ ($named)} into .venv …" >&2
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${named:+[$named]}" || {
            echo "doorlight: installing failed; is there a network, and space on the disk?" >&2
            exit 69
        }
        printf '%s\n%s\n' "$stamp" "$all" >.venv/.doorlight
    fi
    .venv/bin/python - <<'EOF' || exit 69
import re
import sys

try:
    import cv2  # noqa: F401

    from edge.inference.interpreter import load_runtime

    load_runtime()
except Exception as error:
    print(f"doorlight: what Doorlight needs cannot be loaded: {error}", file=sys.stderr)
    # NumPy's words about a missing library are many, and OpenCV hides them behind its own.
    why = f"{error} {error.__context__}"
    if missing := re.search(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object", why):
        packages = {
            "libGL.so.1": "libgl1",
            "libglib-2.0.so.0": "libglib2.0-0",
            "libgthread-2.0.so.0": "libglib2.0-0",
            "libopenblas.so.0": "libopenblas0",
            "libatomic.so.1": "libatomic1",
            "libstdc++.so.6": "libstdc++6",
        }
        package = packages.get(missing[1])
        how = f"sudo apt install {package}" if package else f"sudo apt install apt-file; apt-file search {missing[1]}"
        print(f"           install what is missing with: {how}", file=sys.stderr)
    sys.exit(1)
EOF
}
