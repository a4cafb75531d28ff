# shellcheck shell=sh
# Sourced by scripts/checks/install.sh and update.sh: their options, and how they report. Each has a function `help`.

check_name="checks/$(basename "$0")"

# read_options TOOLS OPTION...: set $cache and $suite from the options; end if this is not root, or if a tool is missing.
read_options() {
    tools="$1"
    shift
    cache="${HOME:-/root}/.cache/doorlight" suite=trixie
    while [ $# -gt 0 ]; do
        case "$1" in
        -h | --help)
            help
            exit 0
            ;;
        --cache | --suite)
            [ -n "${2:-}" ] || usage "$1 needs a value"
            case "$1 $2" in
            "--suite trixie" | "--suite bookworm") suite="$2" ;;
            --suite*) usage "--suite: trixie or bookworm, not $2" ;;
            *) cache="$(realpath -m -- "$2")" ;;
            esac
            shift
            ;;
        *) usage "unknown option: $1 (see --help)" ;;
        esac
        shift
    done
    [ "$(id -u)" = 0 ] || {
        echo "$check_name: needs root for chroot and mounts: sudo scripts/$check_name" >&2
        exit 77
    }
    for tool in $tools; do
        command -v "$tool" >/dev/null || {
            echo "$check_name: there is no $tool: apt install mmdebstrap systemd-container" >&2
            exit 69
        }
    done
}

usage() {
    echo "$check_name: $1" >&2
    exit 2
}

# clean_system NAME PACKAGES: set $tar to a tar file of a clean Debian with these packages; it is kept in $cache.
clean_system() {
    tar="$cache/$suite-$(dpkg --print-architecture)-$1.tar"
    mkdir -p "$cache"
    [ ! -s "$tar" ] || return 0
    echo "building a clean Debian ($suite) …"
    mmdebstrap --quiet --format=tar --variant=minbase "--include=$2" "$suite" "$tar.part" http://deb.debian.org/debian
    mv "$tar.part" "$tar"
}

fail() {
    [ ! -e "${root:-/none}/log" ] || cat "$root/log" >&2
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}
ok() { printf 'ok: %s\n' "$*"; }
