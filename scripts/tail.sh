#!/bin/sh
# Shows over SSH what happens at the door, as it happens, until Ctrl-C.
set -eu
case "${1:-}" in
"" | -*)
    [ "${1:-}" = --help ] || [ "${1:-}" = -h ] || exec >&2
    echo "usage: scripts/tail.sh HOST [OPTIONS OF doorlight events]"
    echo "Shows over SSH what happens at the door, as it happens, until Ctrl-C; rotation of the log included."
    echo
    echo "  scripts/tail.sh raspberrypi.local"
    echo "  scripts/tail.sh pi@192.168.1.20 --since 1h --kind alarm"
    [ "${1:-}" = --help ] || [ "${1:-}" = -h ] || exit 2
    exit 0
    ;;
esac
host="$1"
shift
# ssh joins its arguments with blanks and has a shell over there take them apart: quoted, they stay what they are.
command="doorlight events --follow"
for word in "$@"; do
    command="$command '$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'"
done
# A terminal over there (-t) lets Ctrl-C reach doorlight, which then prints its summary.
terminal=""
[ ! -t 0 ] || terminal=-t
exec ssh $terminal -- "$host" "$command"
