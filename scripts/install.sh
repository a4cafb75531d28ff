#!/bin/sh
# Installs Doorlight as a service that starts at boot. scripts/install.sh --help tells everything.
#
# Every step looks first whether it is done, and puts what it makes beside what is there before it takes its place. So
# it may be interrupted anywhere, by a power cut too: the old door goes on, and the next run finishes the work.
set -eu

help() {
    cat <<'HELP'
usage: sudo scripts/install.sh [--camera SRC] [--wheels DIR] [--without-start] [--dry-run]
       sudo scripts/install.sh --uninstall [--dry-run]
            scripts/install.sh --fetch-wheels DIR

Makes this machine a door: installs Doorlight and starts it now and at every boot. Run it again to upgrade (git pull
before), or when something was interrupted: it does only what is left to do. Needs Raspberry Pi OS or Debian, Bookworm
or later, and, the first time, a network and about ten minutes.

  --camera SRC       what to look through, for a first installation: picamera (the Raspberry Pi camera, what a Raspberry
                     Pi takes without being told), /dev/video0 (a USB camera, what others take), rtsp://… (also see
                     systemd/network.conf.example). Later: [camera] source in /etc/doorlight/doorlight.toml
  --wheels DIR       take Python packages from DIR and not from the network
  --fetch-wheels DIR fill DIR for that, on a machine of the same kind that has a network
  --without-start    install, but start nothing now; it starts at the next boot
  --dry-run          only say what would be done
  --uninstall        take everything away again; asks before the event log and your settings go

Where things are afterwards:
  doorlight                          the command: try  doorlight events --follow  and  doorlight --help
  /etc/doorlight/doorlight.toml      your settings, never overwritten;  then: sudo systemctl restart doorlight
  /etc/doorlight/defaults.toml       every setting there is, its default and what it does, new with each upgrade
  /var/lib/doorlight/events.jsonl    the event log
  /opt/doorlight                     the program

How is it doing?  systemctl status doorlight      What did it say?  journalctl -u doorlight
Exit codes: 0 fine, 2 wrong usage, 69 this machine lacks something, 77 not root, 78 your settings are wrong
HELP
}

# Debian's own interpreter, whatever else comes first in PATH: apt's picamera2 and lgpio are for this one alone.
PYTHON=/usr/bin/python3
OPT=/opt/doorlight
ETC=/etc/doorlight
STATE=/var/lib/doorlight
LINK=/usr/local/bin/doorlight
UNIT=/etc/systemd/system/doorlight.service
DROP_INS=/etc/systemd/system/doorlight.service.d

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

# Do it, or with --dry-run say it.
act() {
    if [ -n "$dry" ]; then
        say "would: $*"
    else
        "$@"
    fi
}

# put FILE DESTINATION: install a file of ours where it differs; it is there whole or not at all.
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

check_machine() {
    for tool in apt-get systemctl; do
        command -v "$tool" >/dev/null 2>&1 ||
            die 69 "this installs on Raspberry Pi OS and Debian with systemd; this machine has no $tool" \
                "elsewhere: pip install . and write a service of your own after systemd/doorlight.service"
    done
    # Debian testing has no number.
    debian="$(sed -n 's/^VERSION_ID="\{0,1\}\([0-9]*\).*/\1/p' /etc/os-release)"
    [ "${debian:-99}" -ge 12 ] || die 69 "this system is older than Bookworm (Debian 12), whose Python is the oldest that will do" \
        "write a new SD card with the Raspberry Pi Imager: Raspberry Pi OS Lite (64-bit)"
    if [ "$(getconf LONG_BIT)" = 32 ]; then
        [ "$(uname -m)" != aarch64 ] ||
            die 69 "this is a 32-bit system under a 64-bit kernel, and pip would choose packages for 64 bits" \
                "take Raspberry Pi OS (64-bit); or write arm_64bit=0 into /boot/firmware/config.txt and reboot"
        [ "${debian:-99}" = 12 ] || die 69 "for 32 bits TFLite has packages for Bookworm only" "take Raspberry Pi OS (64-bit)"
    fi
    case "$(uname -m)" in
    x86_64 | aarch64 | armv7l) ;;
    *) die 69 "there are no TFLite packages for this processor ($(uname -m))" ;;
    esac
    free_mb="$(df -Pm /opt 2>/dev/null | awk 'NR == 2 { print $4 }')"
    # About 250 MB for the program, and as much again while the old one still runs beside it.
    [ "${free_mb:-0}" -ge 600 ] || die 69 "only ${free_mb:-0} MB are free on the disk of /opt; 600 are needed while installing"
}

is_raspberry_pi() { grep -qs "Raspberry Pi" /proc/device-tree/model; }
installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }
known() { apt-cache show "$1" >/dev/null 2>&1; }

apt_packages() {
    step "Debian packages"
    missing=""
    for package in python3 python3-venv; do
        installed "$package" || missing="$missing $package"
    done
    # A fresh system has no lists of packages yet.
    updated="$dry$wheels"
    if [ -z "$updated" ] && ! known python3-venv; then
        apt-get -q update && updated=yes
    fi
    # Only Raspberry Pi OS has picamera2; Debian Bookworm has no lgpio either, and does without pins then.
    wanted="python3-lgpio"
    is_raspberry_pi && wanted="$wanted python3-picamera2"
    for package in $wanted; do
        installed "$package" && continue
        if known "$package"; then
            missing="$missing $package"
        else
            say "$package: not in this system's packages, going on without"
        fi
    done
    if [ -z "$missing" ]; then
        say "all there"
        return
    fi
    say "missing:$missing"
    if [ -n "$dry" ]; then
        say "would: apt-get install --no-install-recommends$missing"
        return
    fi
    # An interrupted apt leaves packages half unpacked; this finishes them, and does nothing otherwise.
    dpkg --configure -a
    [ -n "$updated" ] || apt-get -q update || say "going on with the lists of packages that are there"
    # Recommends of picamera2 are a desktop and OpenCV: 500 MB that a door needs not.
    # shellcheck disable=SC2086  # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing ||
        die 69 "these Debian packages could not be installed:$missing" "is there a network? then try: sudo apt-get update"
}

user_and_devices() {
    step "User, groups, devices"
    put systemd/doorlight.sysusers /etc/sysusers.d/doorlight.conf
    put systemd/doorlight.tmpfiles /etc/tmpfiles.d/doorlight.conf
    put systemd/doorlight.modules /etc/modules-load.d/doorlight.conf
    put systemd/60-doorlight.rules /etc/udev/rules.d/60-doorlight.rules
    act systemd-sysusers doorlight.conf
    act systemd-tmpfiles --create doorlight.conf
    # For what is plugged in already. In a chroot, or while an image is built, no udev is there to be told.
    if [ -e /run/udev/control ]; then
        act udevadm control --reload
        act udevadm trigger --subsystem-match=usb --subsystem-match=gpio --subsystem-match=dma_heap
    fi
}

# What the program is made of, in a number: the same again, and nothing needs to be done.
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

# Apt's picamera2 (its simplejpeg) was compiled for apt's NumPy, and breaks under another major version of it.
numpy_constraint() {
    "$PYTHON" -c 'import numpy; print(f"numpy=={numpy.__version__}")' 2>/dev/null || true
}

program() {
    step "Doorlight itself"
    if [ -n "$dry" ] && ! [ -x "$PYTHON" ]; then
        say "would build $OPT/releases/… (Python comes first)"
        return
    fi
    release="$OPT/releases/$(stamp)"
    if [ -e "$release/.complete" ] && "$release/bin/doorlight" --version >/dev/null 2>&1; then
        say "built already: $release"
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
    [ ! -s "$release/constraints.txt" ] || say "NumPy is held to what apt's camera library was built for: $(cat "$release/constraints.txt")"
    say "installing Python packages; on a small Raspberry Pi this takes minutes …"
    if [ -n "$wheels" ]; then
        set -- --no-index --find-links "$wheels" doorlight
    else
        set -- "$PWD"
    fi
    "$release/bin/python" -m pip --disable-pip-version-check install --quiet --no-cache-dir \
        --constraint "$release/constraints.txt" "$@" ||
        die 69 "installing the Python packages failed; the lines above say why" \
            "is there a network? run this again, it goes on from here"
    # Never used again, as an upgrade makes a new one: 25 MB of the card.
    "$release/bin/python" -m pip --disable-pip-version-check uninstall --quiet --yes setuptools pip
    try_out "$release"
    # On the disk before it counts as complete, or a power cut leaves a complete one with empty files.
    sync
    touch "$release/.complete"
}

# One picture through all three models, as the door's own user: this finds a library that is missing, a model that is
# damaged or a package for the wrong processor while the old door still runs.
try_out() {
    folder="$(mktemp -d)"
    cp scripts/assets/demo/still.jpg "$folder/"
    chown -R doorlight: "$folder"
    if ! runuser -u doorlight -- "$1/bin/doorlight" annotate "$folder/still.jpg" "$folder/seen.jpg" >"$folder/said" 2>&1; then
        cat "$folder/said" >&2
        rm -rf "$folder"
        die 69 "the new program does not work on this machine; nothing was switched over"
    fi
    rm -rf "$folder"
    say "tried out on a picture: works"
}

settings() {
    step "Settings"
    if [ ! -e "$ETC/doorlight.toml" ]; then
        if [ -z "$camera" ]; then
            camera=/dev/video0
            is_raspberry_pi && camera=picamera
        fi
        case "$camera" in *[\"\\]*) die 2 "--camera: no quotes and backslashes, please: $camera" ;; esac
        cat >"$scratch/doorlight.toml" <<TOML
# Your settings: only what differs from $ETC/defaults.toml, where every setting is explained.
# An upgrade never touches this file. After a change:
#   doorlight check-config $ETC/doorlight.toml
#   sudo systemctl restart doorlight

[camera]
source = "$camera"
# Without its camera the door shows FAULT and waits for it.
wait = true

# At work and in education the European Union prohibits inferring emotions. There, remove the two # below.
#[expression]
#enabled = false
TOML
        put "$scratch/doorlight.toml" "$ETC/doorlight.toml"
    elif [ -n "$camera" ]; then
        say "--camera is for a first installation; yours is set in $ETC/doorlight.toml, which stays as it is"
    else
        say "$ETC/doorlight.toml is yours and stays as it is"
    fi
    [ -n "$dry" ] && return
    "$release/bin/doorlight" check-config >"$scratch/defaults.toml"
    if [ -e "$ETC/defaults.toml" ] && ! cmp -s "$scratch/defaults.toml" "$ETC/defaults.toml"; then
        say "What is new in the defaults (- before, + now):"
        diff -U 1 "$ETC/defaults.toml" "$scratch/defaults.toml" | sed 1,2d || true
    fi
    "$release/bin/doorlight" check-config "$ETC/doorlight.toml" ||
        die 78 "your settings do not fit the new version (see above); the door was left as it was" \
            "mend them with: sudo nano $ETC/doorlight.toml    and run this again"
    put "$scratch/defaults.toml" "$ETC/defaults.toml"
}

# link TARGET NAME: a symbolic link that is the old one or the new one at every moment.
link() {
    [ "$(readlink "$2" || true)" = "$1" ] && return
    if [ -n "$dry" ]; then
        say "would link $2 to $1"
        return
    fi
    ln -sfn "$1" "$2.new"
    mv -fT "$2.new" "$2"
}

service() {
    step "Service"
    # Of a door that works: what goes back if the new one does not start.
    before=""
    if [ -z "$dry$without_start" ] && [ -e "$UNIT" ] && systemctl --quiet is-active doorlight.service 2>/dev/null; then
        before="$(readlink "$OPT/current")"
        cp "$UNIT" "$scratch/unit"
    fi
    if [ -n "$dry" ]; then
        say "would link $OPT/current to the new program"
    else
        link "$release" "$OPT/current"
    fi
    link "$OPT/current/bin/doorlight" "$LINK"
    put systemd/doorlight.service "$UNIT"
    version="$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
    if [ "${version:-0}" -ge 254 ]; then
        put systemd/restart-backoff.conf "$DROP_INS/restart-backoff.conf"
    fi
    act systemctl --quiet enable doorlight.service
    [ -n "$dry" ] || sync
    if [ ! -d /run/systemd/system ]; then
        say "systemd is not running here (a chroot, an image?): it starts at the next boot"
        return
    fi
    act systemctl daemon-reload
    if [ -n "$without_start" ]; then
        say "not started, as you asked; start it with: sudo systemctl start doorlight"
        return
    fi
    # Comes back once the door has decided about its first picture.
    if ! act systemctl restart doorlight.service; then
        # What the door said, without what systemd says of it.
        said="$(journalctl _SYSTEMD_UNIT=doorlight.service -n 5 -o cat --no-pager || true)"
        if [ -z "$before" ] || [ "$before" = "$release" ]; then
            die 69 "installed, but the door does not start. What it said:" "$said"
        fi
        go_back ||
            die 69 "the new version does not start, and the one before, which is back, does not either. What the new one said:" "$said"
        die 69 "the new version does not start here; the one before is on again. What the new one said:" "$said"
    fi
    [ -n "$dry" ] || say "the door is on"
}

# To the program, the unit and the defaults that worked until now; says whether they still do.
go_back() {
    say "it does not start; going back to $before"
    link "$before" "$OPT/current"
    put "$scratch/unit" "$UNIT"
    if "$before/bin/doorlight" check-config >"$scratch/defaults.toml"; then put "$scratch/defaults.toml" "$ETC/defaults.toml"; fi
    systemctl daemon-reload
    systemctl restart doorlight.service
}

tidy() {
    # Only now that the service runs from the new one: a running Python still reads its old files.
    for old in "$OPT"/releases/*; do
        if [ -e "$old" ] && [ "$old" != "${release:-}" ]; then act rm -rf "$old"; fi
    done
}

doctor() {
    [ -z "$dry" ] || return 0
    step "What doorlight doctor says"
    "$LINK" doctor ||
        say "Doorlight is installed; what the doctor found can be mended with the commands above. Again: sudo doorlight doctor"
}

uninstall() {
    if [ -d /run/systemd/system ] && [ -e "$UNIT" ]; then
        act systemctl stop doorlight.service
    fi
    [ ! -e "$UNIT" ] || act systemctl --quiet disable doorlight.service
    for path in "$UNIT" "$DROP_INS" "$LINK" "$OPT" /etc/udev/rules.d/60-doorlight.rules \
        /etc/modules-load.d/doorlight.conf /etc/tmpfiles.d/doorlight.conf /etc/sysusers.d/doorlight.conf; do
        if [ -e "$path" ] || [ -L "$path" ]; then act rm -rf "$path"; fi
    done
    [ ! -d /run/systemd/system ] || act systemctl daemon-reload
    [ -n "$dry" ] || say "Doorlight is off this machine. Debian packages were left: other programs may use them."
    [ -e "$STATE" ] || [ -e "$ETC" ] || return 0
    if [ -n "$dry" ]; then
        say "would ask whether the event log ($STATE) and your settings ($ETC) should go too"
        return
    fi
    printf 'Delete the event log (%s) and your settings (%s) too, for good? [y/N] ' "$STATE" "$ETC"
    answer=""
    read -r answer || say ""
    case "$answer" in
    y | Y | yes | YES)
        rm -rf "$STATE" "$ETC"
        # The user last: files must not be left to a number that somebody else may get.
        if getent passwd doorlight >/dev/null; then userdel doorlight; fi
        if getent group doorlight >/dev/null; then groupdel doorlight; fi
        say "deleted"
        ;;
    *) say "kept: $STATE and $ETC, and the user doorlight, whose they are" ;;
    esac
}

fetch_wheels() {
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
        die 69 "Python's venv module is missing" "sudo apt install python3-venv"
    mkdir -p "$1"
    "$PYTHON" -m venv --system-site-packages "$scratch/venv"
    numpy_constraint >"$scratch/constraints.txt"
    "$scratch/venv/bin/python" -m pip --disable-pip-version-check wheel --quiet --wheel-dir "$1" \
        --constraint "$scratch/constraints.txt" "$PWD" || die 69 "fetching failed; is there a network?"
    say "$1 is ready for: sudo scripts/install.sh --wheels $1"
}

dry="" wheels="" fetch="" camera="" without_start="" uninstall=""
while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help)
        help
        exit 0
        ;;
    --dry-run) dry=yes ;;
    --without-start) without_start=yes ;;
    --uninstall) uninstall=yes ;;
    --camera | --wheels | --fetch-wheels)
        [ -n "${2:-}" ] || die 2 "$1 needs a value" "scripts/install.sh --help tells more"
        case "$1" in
        --camera) camera="$2" ;;
        --wheels) wheels="$(realpath -m -- "$2")" ;;
        --fetch-wheels) fetch="$(realpath -m -- "$2")" ;;
        esac
        shift
        ;;
    *) die 2 "unknown: $1" "scripts/install.sh --help tells what there is" ;;
    esac
    shift
done
if [ -n "$wheels" ] && ! ls "$wheels"/doorlight-*.whl >/dev/null 2>&1; then
    die 2 "--wheels: there is no doorlight-….whl in $wheels" \
        "on a machine of the same kind with a network: scripts/install.sh --fetch-wheels DIR"
fi

cd "$(dirname "$0")/.."
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# Whatever the caller's: the door's user must be able to read what is installed.
umask 022
unset PYTHONPATH PYTHONHOME PIP_REQUIRE_VIRTUALENV

if [ -n "$fetch" ]; then
    fetch_wheels "$fetch"
    exit 0
fi
[ -n "$dry" ] || [ "$(id -u)" = 0 ] || die 77 "this needs to be root: sudo scripts/install.sh (or look first: --dry-run)"
# Held to the end, and let go of by the kernel: two at once would build into each other, or one take away the other's work.
if [ -z "$dry" ]; then
    exec 9>/run/doorlight-install.lock
    flock -n 9 || die 69 "another installation is running"
fi
if [ -n "$uninstall" ]; then
    uninstall
    exit 0
fi
# A door at work comes first: unpacking and compiling packages would starve it of a small processor for minutes.
renice -n 19 -p $$ >/dev/null || true
ionice -c 3 -p $$ || true
check_machine
apt_packages
user_and_devices
program
settings
service
tidy
doctor
[ -n "$dry" ] || say "
Done. Watch it with: doorlight events --follow"
