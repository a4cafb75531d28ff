# shellcheck shell=sh disable=SC2154
# Debian's packages, and the library of the pins. Sourced by scripts/install.sh, after common.sh, with machine.sh and root.sh. It
# needs $dry, and $wheels: the folder of --wheels or nothing.

installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }
known() { apt-cache show "$1" >/dev/null 2>&1; }

apt_packages() {
    step "Debian packages"
    missing=""
    for package in python3 python3-venv; do
        installed "$package" || missing="$missing $package"
    done
    # A new system has no package lists yet.
    updated="$dry$wheels"
    if [ -z "$updated" ] && ! known python3-venv; then
        apt-get -q update && updated=yes
    fi
    # Only Raspberry Pi OS has these. Elsewhere Doorlight runs without pins, except on a Raspberry Pi: see gpio_library.
    wanted="python3-lgpio"
    is_raspberry_pi && wanted="$wanted python3-picamera2"
    for package in $wanted; do
        installed "$package" && continue
        if known "$package"; then
            missing="$missing $package"
        else
            say "$package: this system has no such package; continuing without it"
        fi
    done
    if [ -z "$missing" ]; then
        say "all packages are installed"
        return
    fi
    say "missing:$missing"
    if is_overlay; then
        die 69 "these Debian packages are missing:$missing. The root is read-only: they would be lost at the next boot" \
            "sudo scripts/install.sh --read-write, then run this script again"
    fi
    if [ -n "$dry" ]; then
        say "would: apt-get install --no-install-recommends$missing"
        return
    fi
    # An interrupted apt leaves packages incomplete; this completes them, and otherwise does nothing.
    dpkg --configure -a
    [ -n "$updated" ] || apt-get -q update || say "continuing with the present package lists"
    # picamera2 recommends a desktop and OpenCV: 500 MB that a door does not need.
    # shellcheck disable=SC2086  # a list of package names
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing ||
        die 69 "could not install these Debian packages:$missing" "check the network, then run: sudo apt-get update"
}

# Refuse a Raspberry Pi on which lgpio is missing, or is the empty package that pip takes for Python 3.13: no lamp would be
# lit there. Debian's own Python sees what the program will see.
gpio_library() {
    if [ -n "$dry" ] || ! is_raspberry_pi; then return 0; fi
    # A bundle of doorlight update has the code only in its package, which Python reads as it is.
    code="$PWD"
    [ -d edge ] || code="$(find "$wheels" -name 'doorlight-*.whl' | head -n 1)"
    PYTHONPATH="$code${PYTHONPATH:+:$PYTHONPATH}" "$PYTHON" -B -m edge.system.gpio_library ||
        die 69 "the pins of this Raspberry Pi cannot be used, see the lines above; the program in use is not changed"
}
