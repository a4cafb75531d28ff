# shellcheck shell=sh disable=SC2153,SC2154
# The program: build a release and try it, remove old ones, download its packages. Sourced by scripts/install.sh, after common.sh.
# It needs $dry, $wheels (the folder of --wheels or nothing), $scratch (a folder), and the checkout or bundle as the working folder.
# The step `program` sets $release.

# Print a checksum of everything that the program is built from. If it has not changed, there is nothing to build.
stamp() {
    {
        "$PYTHON" --version 2>&1
        numpy_constraint
        if [ -n "$wheels" ]; then
            (cd "$wheels" && cksum ./*.whl)
        else
            find edge models_tflite pyproject.toml -type f ! -name '*.pyc' -exec cksum {} + | sort
        fi
    } | cksum | cut -d ' ' -f 1
}

# Apt's picamera2 (its simplejpeg) is compiled for apt's NumPy and fails with another major version.
numpy_constraint() {
    "$PYTHON" -c 'import numpy; print(f"numpy=={numpy.__version__}")' 2>/dev/null || true
}

program() {
    step "Program"
    if [ -n "$dry" ] && ! [ -x "$PYTHON" ]; then
        say "would build $OPT/releases/… (after Python is installed)"
        return
    fi
    release="$OPT/releases/$(stamp)"
    if [ -e "$release/.complete" ] && "$release/bin/doorlight" --version >/dev/null 2>&1; then
        say "up to date: $release"
        return
    fi
    if [ -n "$dry" ]; then
        say "would build $release"
        return
    fi
    rm -rf "$release"
    mkdir -p "$OPT/releases"
    "$PYTHON" -m venv --system-site-packages "$release"
    numpy_constraint >"$release/constraints.txt"
    [ ! -s "$release/constraints.txt" ] || say "using the NumPy version of apt's camera library: $(cat "$release/constraints.txt")"
    say "installing Python packages; this takes minutes on a small Raspberry Pi …"
    if [ -n "$wheels" ]; then
        set -- --no-index --find-links "$wheels" "doorlight[link,metrics,people,web]"
    else
        set -- "${PWD}[link,metrics,people,web]"
    fi
    "$release/bin/python" -m pip --disable-pip-version-check install --quiet --no-cache-dir \
        --constraint "$release/constraints.txt" "$@" ||
        die 69 "could not install the Python packages, see the lines above" \
            "check the network, then run this script again"
    # They are not needed any more, since an upgrade builds a new program. This saves 25 MB.
    "$release/bin/python" -m pip --disable-pip-version-check uninstall --quiet --yes setuptools pip
    launcher "$release"
    try_out "$release"
    # Sync before .complete is written: otherwise a power cut could leave a complete program with empty files.
    sync
    touch "$release/.complete"
}

# Put a script before the program that names the problem after an upgrade of the system (Debian 12 to 13): the packages are those of
# the former Python, and the new one would only say that there is no module. The exit code prevents restarts, see the units.
launcher() {
    python="$(readlink -f "$PYTHON")"
    mkdir -p "$1/libexec"
    mv "$1/bin/doorlight" "$1/libexec/doorlight"
    cat >"$1/bin/doorlight" <<SCRIPT
#!/bin/sh
[ "$1/bin/python" -ef "$python" ] && exec "$1/libexec/doorlight" "\$@"
echo "doorlight: this program was installed for ${python##*/}, which is not the system's Python any more: the system was upgraded" >&2
echo "           install it again: sudo scripts/install.sh (settings and event log are kept)" >&2
exit 71
SCRIPT
    chmod 755 "$1/bin/doorlight"
}

# Run one picture through all three models, as the service's user. This detects a missing library, a damaged model or a
# package for the wrong processor while the old door still runs. The picture is made for the defaults, which an empty file
# stands for: a door may have a zone or a turned camera, and its settings are checked later.
try_out() {
    folder="$(mktemp -d)"
    cp scripts/assets/demo/still.jpg "$folder/"
    : >"$folder/defaults.toml"
    chown -R doorlight: "$folder"
    if ! runuser -u doorlight -- "$1/bin/doorlight" annotate --config "$folder/defaults.toml" \
        "$folder/still.jpg" "$folder/seen.jpg" >"$folder/said" 2>&1; then
        cat "$folder/said" >&2
        rm -rf "$folder"
        die 69 "the new program does not work on this machine; the old program stays in use"
    fi
    rm -rf "$folder"
    say "self-test with one picture: OK"
}

# Remove earlier programs, except those of running processes, which still read their files: the door after --without-start,
# or `doorlight events --follow`.
tidy() {
    for old in "$OPT"/releases/*; do
        if ! [ -e "$old" ] || [ "$old" = "${release:-}" ]; then continue; fi
        if is_in_use "$old"; then
            say "$old is in use; the next run of this script removes it"
        else
            act rm -rf "$old"
        fi
    done
}

# is_in_use RELEASE: whether a process runs this program. Each has mapped a compiled library of it.
is_in_use() { grep -qsF "$1/" /proc/[0-9]*/maps; }

fetch_wheels() {
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
        die 69 "Python's venv module is missing" "sudo apt install python3-venv"
    mkdir -p "$1"
    "$PYTHON" -m venv --system-site-packages "$scratch/venv"
    numpy_constraint >"$scratch/constraints.txt"
    "$scratch/venv/bin/python" -m pip --disable-pip-version-check wheel --quiet --wheel-dir "$1" \
        --constraint "$scratch/constraints.txt" "${PWD}[link,metrics,people,web]" || die 69 "could not download the packages" "check the network, then run this script again"
    say "$1 is ready for: sudo scripts/install.sh --wheels $1"
}
