#!/bin/sh
# Follow the event log of a door over SSH.
set -eu
case "${1:-}" in
"" | -*)
    [ "${1:-}" = --help ] || [ "${1:-}" = -h ] || exec >&2
    echo "usage: scripts/tail.sh HOST [OPTIONS OF doorlight events]"
    echo "Follows the event log of a door over SSH until Ctrl-C, also when the log is rotated."
    echo
    echo "  scripts/tail.sh raspberrypi.local"
    echo "  scripts/tail.sh pi@192.168.1.20 --since 1h --kind alarm"
    [ "${1:-}" = --help ] || [ "${1:-}" = -h ] || exit 2
    exit 0
    ;;
esac
host="$1"
shift
# ssh joins its arguments with spaces, and the remote shell splits them again: quote each argument.
command="doorlight events --follow"
for word in "$@"; do
    command="$command '$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'"
done
# With a remote terminal (-t), Ctrl-C reaches doorlight, which then prints its summary.
terminal=""
[ ! -t 0 ] || terminal=-t
exec ssh $terminal -- "$host" "$command"
