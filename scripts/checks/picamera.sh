#!/bin/sh
# Run the door on the real libcamera and Picamera2, with a sensor that is a folder. See --help.
set -eu

help() {
    cat <<'HELP'
usage: sudo scripts/checks/picamera.sh [--cache DIR] [--quick] [--cached] [--reopenings N] [--report OUT.md]

Runs, in a Debian 13 with the real libcamera and Picamera2 and with this checkout's wheel:
  - every scenario of tests/camera/test_picamera_scenarios.py and test_picamera_process.py, with the real libraries and with
    their fakes
  - the demo clip through the camera: its decisions must be those on the file
  - every fault of a camera with the whole door: FAULT within 4 s, back within 30 s of its end
  - what the camera costs: time to the first picture, processor, memory
Only the sensor, its image processor and the kernel's driver are not real. It does not run on a Raspberry Pi.

It needs root, mmdebstrap, and for the first run a network, 2 GB of disk and ten minutes on two cores; later runs take four
minutes, and one with --quick one minute. It changes nothing outside DIR and OUT.md.

  --cache DIR      keep the system in DIR for the next run (default: ~/.cache/doorlight)
  --quick          only the scenarios with the real libraries, and no long ones
  --cached         end with 69 if the system is not in DIR, instead of building it
  --reopenings N   open and close the camera N times in the search for leaks (default: 20)
  --report OUT.md  write what was measured as Markdown
HELP
}

lacks() {
    printf 'checks/picamera.sh: %s\n' "$1" >&2
    exit 69
}

wrong() {
    printf 'checks/picamera.sh: %s\n' "$1" >&2
    exit 2
}

cache="${HOME:-/root}/.cache/doorlight" quick="" cached="" reopenings=20 report=""
while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help)
        help
        exit 0
        ;;
    --quick) quick=yes ;;
    --cached) cached=yes ;;
    --cache | --reopenings | --report)
        [ -n "${2:-}" ] || wrong "$1 needs a value"
        case "$1" in
        --cache) cache="$(realpath -m -- "$2")" ;;
        --report) report="$(realpath -m -- "$2")" ;;
        --reopenings)
            case "$2" in *[!0-9]*) wrong "--reopenings needs a number, not $2" ;; esac
            reopenings="$2"
            ;;
        esac
        shift
        ;;
    *) wrong "unknown option: $1 (see --help)" ;;
    esac
    shift
done
cd "$(dirname "$0")/../.."
parts="$PWD/scripts/checks/picamera"
# The system is built again if one of its inputs changes.
inputs="$(cat "$parts/build_root.sh" "$parts/dmaheap_shim.c" "$parts"/libcamera/* | sha256sum | cut -c1-12)"
root="$cache/picamera-$inputs"
[ -z "$cached" ] || [ -e "$root.complete" ] ||
    lacks "the system with the real Picamera2 is not in $cache: sudo scripts/checks/picamera.sh builds it in ten minutes"
[ "$(id -u)" = 0 ] || lacks "needs root for chroot and mounts: sudo scripts/checks/picamera.sh"
[ "$(uname -m)" = x86_64 ] || lacks "needs an x86-64 machine; this is $(uname -m)"
if [ ! -e "$root.complete" ]; then
    command -v mmdebstrap >/dev/null || lacks "there is no mmdebstrap: apt install mmdebstrap"
    echo "building a Debian 13 with libcamera and Picamera2 (the slow part) …"
    mkdir -p "$cache"
    "$parts/build_root.sh" "$root.new"
    rm -rf --one-file-system "$root"
    mv "$root.new" "$root"
    touch "$root.complete"
fi

# Each run installs the wheel of its checkout into a folder of its own: two may share the system.
out="$(mktemp -d "$root/tmp/check.XXXXXX")"
trap 'rm -rf "$out"' EXIT
chmod 755 "$out" # some scenarios run as another user
trap 'exit 130' INT
trap 'exit 143' TERM
there="/tmp/${out##*/}"
inside() {
    "$parts/enter.sh" "$root" "$PWD" env LD_LIBRARY_PATH=/opt/libcamera/lib LD_PRELOAD=/usr/local/lib/dmaheap_shim.so \
        PYTHONPATH="$there/wheel:/opt/libcamera/python:/checkout/tests:/checkout/scripts" PYTHONDONTWRITEBYTECODE=1 \
        VIRTUAL_PI_CAMERA="$there/sensor" DOORLIGHT_REAL_PICAMERA=1 DOORLIGHT_REOPENINGS="$reopenings" "$@"
}
inside /venv/bin/pip --disable-pip-version-check -q install --no-deps --no-build-isolation --target "$there/wheel" /checkout

code=0
set -- -c /checkout/pyproject.toml -p no:cacheprovider -q --junitxml="$there/junit.xml"
[ -z "$quick" ] || set -- "$@" -k "real and (streams or rotation or busy or start or hang or timeout or stops or may_not_open)"
tests=/checkout/tests/camera
inside /venv/bin/pytest "$@" "$tests/test_picamera_scenarios.py" "$tests/test_picamera_process.py" || code=1
if [ -z "$quick" ]; then
    inside /venv/bin/python -m checks.picamera.door /checkout/scripts/assets/demo/door.mp4 "$there/results.json" \
        clip faults costs || code=1
fi
[ -z "$report" ] || inside /venv/bin/python -m checks.picamera.report "$there/junit.xml" "$there/results.json" "$there/report.md"
[ -z "$report" ] || cp "$out/report.md" "$report"
[ "$code" = 0 ] || {
    echo "checks/picamera.sh: FAILED (see above)" >&2
    exit "$code"
}
echo "ok: Doorlight on the real Picamera2"
