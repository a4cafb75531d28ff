# shellcheck shell=sh
# Find the files that the settings name. Sourced by scripts/install.sh, after common.sh.

# named_file SECTION: print `file` of this section of the settings; nothing if it is not set, or if the settings cannot be read.
named_file() {
    "$PYTHON" -c 'import sys, tomllib
print(tomllib.loads(open(sys.argv[1], encoding="utf-8-sig").read()).get(sys.argv[2], {}).get("file", ""))' "$ETC/doorlight.toml" "$1" 2>/dev/null || true
}

# named_elsewhere SECTION: print this file if it is outside of the folders of Doorlight.
named_elsewhere() {
    named="$(named_file "$1")"
    case "$named" in
    # Links and .. may lead out of a folder of Doorlight.
    /*) named="$(realpath -m -- "${named%/*}/")/${named##*/}" ;;
    *) return 0 ;;
    esac
    case "$named" in
    "$(realpath -m -- "$STATE")"/* | "$(realpath -m -- "$ETC")"/*) ;;
    *) printf '%s\n' "$named" ;;
    esac
}
