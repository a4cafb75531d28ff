# shellcheck shell=sh disable=SC2034
# The places of an installation, and words that all steps use: say, step, die, act, put, link. Sourced by scripts/install.sh,
# which sets $dry: not empty if nothing is to be changed.

# Debian's Python, also if another one comes first in PATH: apt's picamera2 and lgpio work only with this one.
PYTHON=/usr/bin/python3
OPT=/opt/doorlight
ETC=/etc/doorlight
STATE=/var/lib/doorlight
LINK_STATE=/var/lib/doorlight-link
LINK=/usr/local/bin/doorlight
UNIT=/etc/systemd/system/doorlight.service
DROP_INS=/etc/systemd/system/doorlight.service.d
WEB_UNIT=/etc/systemd/system/doorlight-web.service
LINK_UNIT=/etc/systemd/system/doorlight-link.service

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }

die() {
    code="$1"
    shift
    printf 'doorlight: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '           %s\n' "$line" >&2; done
    exit "$code"
}

# act COMMAND...: run a command; with --dry-run print it.
act() {
    if [ -n "$dry" ]; then
        say "would: $*"
    else
        "$@"
    fi
}

# put FILE DESTINATION: install a file if it differs. The destination is never incomplete.
put() {
    cmp -s "$1" "$2" && return
    if [ -n "$dry" ]; then
        say "would write $2"
        return
    fi
    mkdir -p "$(dirname "$2")"
    install -m 0644 "$1" "$2.new"
    mv -f "$2.new" "$2"
    say "wrote $2"
}

# link TARGET NAME: replace a symbolic link atomically.
link() {
    [ "$(readlink "$2" || true)" = "$1" ] && return
    if [ -n "$dry" ]; then
        say "would link $2 to $1"
        return
    fi
    ln -sfn "$1" "$2.new"
    mv -fT "$2.new" "$2"
}
