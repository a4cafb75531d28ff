#!/bin/sh
# Show the page of a door in the browser of this machine, through SSH.
set -eu
case "${1:-}" in
"" | -*)
    [ "${1:-}" = --help ] || [ "${1:-}" = -h ] || exec >&2
    echo "usage: scripts/view.sh HOST [TIME]"
    echo "Opens the page of a door for TIME (default: 30m) and shows it in the browser here, until Ctrl-C."
    echo "The page stays on the door's loopback address; an SSH tunnel leads to it."
    echo
    echo "  scripts/view.sh pi@raspberrypi.local"
    echo "  scripts/view.sh pi@192.168.1.20 2h"
    [ "${1:-}" = --help ] || [ "${1:-}" = -h ] || exit 2
    exit 0
    ;;
esac
host="$1"
time="${2:-30m}"
case "$time" in
*[!0-9smh]*)
    echo "view.sh: not a time: $time (for example 30m)" >&2
    exit 2
    ;;
esac
# Not the port of the service, which may be running. It is the same on both sides, so that the link fits.
port="${DOORLIGHT_VIEW_PORT:-8091}"

# Open the link, once it comes, in the browser.
open_link() {
    while IFS= read -r line; do
        link="$(printf '%s' "$line" | tr -d '\r' | grep -o 'http://127\.0\.0\.1:[0-9]*/?token=[A-Za-z0-9_-]*')" || continue
        for program in xdg-open open; do
            if command -v "$program" >/dev/null 2>&1; then
                "$program" "$link" >/dev/null 2>&1 || true
                break
            fi
        done
    done
}

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkfifo "$scratch/lines"
open_link <"$scratch/lines" &
# A terminal on the other side (-t), so that sudo can ask for a password and Ctrl-C closes the page. tee passes on a
# question that has no line feed yet.
terminal=""
[ ! -t 0 ] || terminal=-t
# shellcheck disable=SC2086  # no word if it is empty
{
    code=0
    ssh $terminal -o ExitOnForwardFailure=yes -L "127.0.0.1:$port:127.0.0.1:$port" -- "$host" \
        "sudo doorlight web --for $time --listen 127.0.0.1:$port" || code=$?
    echo "$code" >"$scratch/code"
} | tee "$scratch/lines"
exit "$(cat "$scratch/code")"
