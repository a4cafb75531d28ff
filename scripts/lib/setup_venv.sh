# shellcheck shell=sh
# Sourced by scripts/demo, scripts/test and scripts/vdoor: create .venv in the checkout with the packages that are needed.
# usage: setup_venv EXTRAS   ("", "dev" or "dev,train")

setup_venv() {
    extras="$1"
    # Apt's Picamera2 and lgpio are for the system's Python, and only a venv with the system's packages sees them.
    python="${PYTHON:-python3}"
    venv_options=""
    if grep -qs "Raspberry Pi" /proc/device-tree/model; then
        [ -n "${PYTHON:-}" ] || [ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
        venv_options=--system-site-packages
    fi
    if ! command -v "$python" >/dev/null 2>&1; then
        echo "doorlight: $python: not found; on Debian or Raspberry Pi OS run: sudo apt install python3 python3-venv" >&2
        exit 69
    fi
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "doorlight: $("$python" --version) is too old; Doorlight needs Python 3.11 or later (Debian 12 or later);" >&2
        echo "           to use another interpreter: PYTHON=python3.11 $0" >&2
        exit 69
    fi
    # pip would only print "no matching distribution": few packages support 32 bits.
    "$python" - <<'EOF' || exit 69
import platform
import sys

wrong = None
if sys.maxsize < 2**32 and platform.machine() == "aarch64":
    wrong = "this Python has 32 bits under a 64-bit kernel, and pip would choose packages for 64"
elif sys.maxsize < 2**32 and sys.version_info >= (3, 12):
    wrong = "on 32-bit systems, TFLite has a runtime for Python 3.11 (Debian 12) only"
if wrong:
    print(f"doorlight: {wrong}", file=sys.stderr)
    print("           install the 64-bit Raspberry Pi OS (or a 32-bit Bookworm with arm_64bit=0", file=sys.stderr)
    print("           in /boot/firmware/config.txt)", file=sys.stderr)
    sys.exit(1)
EOF
    if [ -d .venv ] && ! .venv/bin/python -m pip --version >/dev/null 2>&1 &&
        ! .venv/bin/python -m ensurepip >/dev/null 2>&1; then
        echo "doorlight: .venv is broken (perhaps by an interrupted installation); creating it again" >&2
        rm -rf .venv
    fi
    if [ ! -d .venv ]; then
        # Debian has venv in a separate package; without it, ensurepip is missing.
        if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            echo "doorlight: Python's venv module is missing; install it with: sudo apt install python3-venv" >&2
            exit 69
        fi
        echo "creating .venv …" >&2
        # shellcheck disable=SC2086 # no word if it is empty
        "$python" -m venv $venv_options .venv || exit 69
    fi
    # Install again only if pyproject.toml, the extras or the checkout's path have changed. Installed extras are kept.
    stamp="$(cksum <pyproject.toml) $PWD"
    have=""
    if [ "$(sed -n 1p .venv/.doorlight 2>/dev/null)" = "$stamp" ]; then
        have="$(sed -n 2p .venv/.doorlight)"
    fi
    all="$(printf 'run,%s,%s' "$have" "$extras" | tr ',' '\n' | sed '/^$/d' | sort -u | paste -sd, -)"
    if [ "$all" != "$have" ]; then
        named="$(printf '%s' "$all" | tr ',' '\n' | sed '/^run$/d' | paste -sd, -)"
        echo "installing Doorlight's packages${named:+ ($named)} into .venv …" >&2
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${named:+[$named]}" || {
            echo "doorlight: the installation failed; check the network and the free disk space" >&2
            exit 69
        }
        printf '%s\n%s\n' "$stamp" "$all" >.venv/.doorlight
    fi
    .venv/bin/python - <<'EOF' || exit 69
import sys

from edge.system.libraries import conflicts, explain

problems = conflicts()
try:
    import cv2  # noqa: F401 - only tests the import

    from edge.inference.interpreter import load_runtime

    load_runtime()
except Exception as error:
    problem = explain(error)
    hint = getattr(error, "hint", "") or "remove .venv and run this script again"
    problems.append(problem or (f"a package cannot be loaded: {error}", hint))
for message, fix in problems:
    print(f"doorlight: {message}\n           {fix}", file=sys.stderr)
sys.exit(bool(problems))
EOF
}
