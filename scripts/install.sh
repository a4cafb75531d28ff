#!/bin/sh
# Install Doorlight as a service that starts at boot. See scripts/install.sh --help.
#
# Each step first checks whether it is already done. A new file is written under another name and then renamed. So the
# installation can be interrupted at any time, also by a power cut: the old door continues to work, and the next run
# completes the installation.
set -eu

help() {
    cat <<'HELP'
usage: sudo scripts/install.sh [--camera SRC] [--expressions yes|no] [--controller TEXT] [--sign TEXT]
                               [--wheels DIR] [--without-start] [--dry-run]
       sudo scripts/install.sh --read-only --data DEVICE [--without-start] [--dry-run]
       sudo scripts/install.sh --read-write [--without-start] [--dry-run]
       sudo scripts/install.sh --uninstall [--dry-run]
            scripts/install.sh --fetch-wheels DIR

Installs Doorlight as a service, and starts it now and at every boot. Run it again to upgrade (after git pull), or to
complete an installation that was interrupted. It needs Raspberry Pi OS or Debian, version 12 (Bookworm) or later. The
first installation needs a network and takes about ten minutes.

  --camera SRC       the camera, for the first installation: picamera (Raspberry Pi camera, the default on a Raspberry
                     Pi), /dev/video0 (USB camera, the default elsewhere), or rtsp://… (see also
                     systemd/network.conf.example). Later, change [camera] source in /etc/doorlight/doorlight.toml
  --expressions yes|no, --controller TEXT, --sign TEXT
                     answers, for the first installation, to three questions that it asks at a terminal otherwise: may
                     expressions of faces be read here (staff pass this door in the EU: no), who answers for the data
                     (name, and address or telephone), and where does the sign hang. Without an answer, no expression is
                     read. Later, change [expression] and [privacy] in /etc/doorlight/doorlight.toml
  --wheels DIR       install Python packages from DIR instead of the network
  --fetch-wheels DIR download these packages into DIR, on a machine of the same kind with a network
  --without-start    install, but do not start the service; a running door keeps its version until it restarts, at the
                     latest at the next boot
  --dry-run          print the steps, change nothing
  --uninstall        remove Doorlight; it asks before it deletes event log, enrolled people and settings
  --read-only        after the installation: write nothing to the root any more, so that a card lives longer. Event log, settings
                     and program move to the disk of --data; every other change is lost at the next boot. It restarts the
                     box. On Debian 13; elsewhere only with --untested. See "A read-only root" in the README of the folder systemd
  --data DEVICE      a partition of the card or a USB stick with ext4 and 2 GB: /dev/sda1, UUID=…, PARTUUID=… or LABEL=…
  --read-write       the way back: everything moves to the root again

Installed files:
  doorlight                          the command; see  doorlight events --follow  and  doorlight --help
  /etc/doorlight/doorlight.toml      your settings, never overwritten; after a change: sudo systemctl restart doorlight
  /etc/doorlight/defaults.toml       all settings with their defaults and descriptions, replaced by each upgrade
  /var/lib/doorlight/events.jsonl    the event log; hours.jsonl beside it has its hours, for doorlight stats
  /opt/doorlight                     the program
  doorlight-web.service              the page in the browser, off; see  doorlight web --help
  doorlight-link.service             MQTT, Home Assistant and webhooks, off; see  doorlight link --help
  doorlight-people.timer             enrolled people of many doors, off; see  doorlight people sync --help

State of the service: systemctl status doorlight      Its messages: journalctl -u doorlight
Exit codes: 0 OK, 2 wrong usage, 69 a requirement is missing on this machine, 74 a disk cannot be written, 77 not root, 78 wrong settings
After an upgrade of the system to another Python (Debian 12 to 13), every command says so and exits with 71: run this again.

For doorlight update, which holds the lock and begins a trial, with --wheels DIR:
  --prepare          build the new program beside the old one, try it, and check the settings; print its folder
  --switch RELEASE   make a prepared program the current one, with its units; start nothing, remove nothing
HELP
}

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

check_machine() {
    for tool in apt-get systemctl; do
        command -v "$tool" >/dev/null 2>&1 ||
            die 69 "this script needs Raspberry Pi OS or Debian with systemd; this machine has no $tool" \
                "on other systems: pip install . and write a service like systemd/doorlight.service"
    done
    # Debian testing has no version number.
    debian="$(sed -n 's/^VERSION_ID="\{0,1\}\([0-9]*\).*/\1/p' /etc/os-release)"
    [ "${debian:-99}" -ge 12 ] || die 69 "this system is older than Debian 12 (Bookworm); Doorlight needs Python 3.11 or later" \
        "write Raspberry Pi OS Lite (64-bit) to the SD card with Raspberry Pi Imager"
    if [ "$(getconf LONG_BIT)" = 32 ]; then
        [ "$(uname -m)" != aarch64 ] ||
            die 69 "this is a 32-bit system under a 64-bit kernel, and pip would choose packages for 64 bits" \
                "install Raspberry Pi OS (64-bit), or add arm_64bit=0 to /boot/firmware/config.txt and reboot"
        [ "${debian:-99}" = 12 ] || die 69 "on 32-bit systems, TFLite has packages for Debian 12 (Bookworm) only" "install Raspberry Pi OS (64-bit)"
    fi
    case "$(uname -m)" in
    x86_64 | aarch64 | armv7l) ;;
    *) die 69 "there are no TFLite packages for this processor ($(uname -m))" ;;
    esac
    where=/opt
    # With a read-only root it is on another disk.
    [ ! -d "$OPT" ] || where="$OPT"
    free_mb="$(df -Pm "$where" 2>/dev/null | awk 'NR == 2 { print $4 }')"
    # The program needs about 250 MB; during an upgrade the old program needs the same again.
    [ "${free_mb:-0}" -ge 600 ] || die 69 "only ${free_mb:-0} MB are free on the disk of /opt; the installation needs 600 MB"
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

user_and_devices() {
    step "User, groups, devices"
    put systemd/doorlight.sysusers /etc/sysusers.d/doorlight.conf
    put systemd/doorlight.tmpfiles /etc/tmpfiles.d/doorlight.conf
    put systemd/doorlight.modules /etc/modules-load.d/doorlight.conf
    put systemd/60-doorlight.rules /etc/udev/rules.d/60-doorlight.rules
    act systemd-sysusers doorlight.conf
    act systemd-tmpfiles --create doorlight.conf
    # Apply the rules to devices that are already plugged in. In a chroot or during an image build, udev does not run.
    if [ -e /run/udev/control ]; then
        act udevadm control --reload
        act udevadm trigger --subsystem-match=usb --subsystem-match=gpio --subsystem-match=dma_heap
    fi
}

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

# Ask the questions of a first installation that no option has answered, if there is somebody to ask. Each answer may be empty.
# At the beginning: nobody waits for ten minutes to be asked.
questions() {
    if [ -e "$ETC/doorlight.toml" ] || ! [ -t 0 ] || [ -n "$dry" ]; then return 0; fi
    step "Three questions"
    say "Enter alone means no, or not known yet: then no expression of a face is read."
    if [ -z "$expressions" ]; then
        say "The European Union prohibits emotion inference at work and in education: at a door that staff pass, the answer is no."
        printf 'May expressions of faces be read here? [y/N] '
        read -r expressions || say ""
    fi
    if [ -z "$controller" ]; then
        printf 'Who answers for the data of this door (name, and address or telephone)? '
        read -r controller || say ""
    fi
    if [ -z "$sign" ]; then
        printf 'Where does the sign hang that tells people of the camera (doorlight sign makes it)? '
        read -r sign || say ""
    fi
}

# Print a text as a TOML string. What cannot be printed, such as the codes of arrow keys, is removed. Without Python, as in a dry
# run on a new system, nothing is written.
toml_string() {
    [ -x "$PYTHON" ] || return 0
    "$PYTHON" -c 'import json, sys; print(json.dumps("".join(filter(str.isprintable, sys.argv[1])).strip()[:200], ensure_ascii=False))' "$1"
}

settings() {
    step "Settings"
    if [ ! -e "$ETC/doorlight.toml" ]; then
        case "$expressions" in
        y | Y | yes | Yes | YES) enabled=true ;;
        *) enabled=false ;;
        esac
        if [ -z "$camera" ]; then
            camera=/dev/video0
            is_raspberry_pi && camera=picamera
        fi
        case "$camera" in *[\"\\]*) die 2 "--camera: quotes and backslashes are not allowed: $camera" ;; esac
        cat >"$scratch/doorlight.toml" <<TOML
# Your settings: only those that differ from $ETC/defaults.toml, which describes all settings.
# An upgrade never changes this file. After a change:
#   doorlight check-config $ETC/doorlight.toml
#   sudo systemctl restart doorlight

[camera]
source = "$camera"
# If there is no camera, the door shows FAULT and waits for it.
wait = true

[expression]
# May expressions of faces be read here? The European Union prohibits it at a door that staff pass (AI Act, Article 5(1)(f)).
enabled = $enabled

[privacy]
# Until the question above and the two below are answered, no expression is read.
answers_required = true
# Who answers for the data of this door: name, and address or telephone. "doorlight sign sign.svg" prints it on the sign.
controller = $(toml_string "$controller")
# Where the sign hangs.
sign = $(toml_string "$sign")
TOML
        put "$scratch/doorlight.toml" "$ETC/doorlight.toml"
    elif [ -n "$camera$expressions$controller$sign" ]; then
        say "--camera, --expressions, --controller and --sign are for the first installation only; change [camera] source," \
            "[expression] and [privacy] in $ETC/doorlight.toml"
    else
        say "$ETC/doorlight.toml is not changed"
    fi
    [ -n "$dry" ] && return
    "$release/bin/doorlight" check-config >"$scratch/defaults.toml"
    if [ -e "$ETC/defaults.toml" ] && ! cmp -s "$scratch/defaults.toml" "$ETC/defaults.toml"; then
        say "Changes in the defaults (- old, + new):"
        diff -U 1 "$ETC/defaults.toml" "$scratch/defaults.toml" | sed 1,2d || true
    fi
    check_settings
    put "$scratch/defaults.toml" "$ETC/defaults.toml"
}

check_settings() {
    "$release/bin/doorlight" check-config "$ETC/doorlight.toml" ||
        die 78 "your settings do not fit the new version (see above); the old program stays in use" \
            "edit them with: sudo nano $ETC/doorlight.toml    and run this script again"
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

# The files outside of /opt and of the settings that belong to a version, as in edge/update/layout.py. Without the leading slash.
managed_files() {
    for file in /etc/systemd/system/doorlight*.service /etc/systemd/system/doorlight*.timer "$DROP_INS/restart-backoff.conf" \
        /etc/sysusers.d/doorlight.conf /etc/tmpfiles.d/doorlight.conf /etc/modules-load.d/doorlight.conf \
        /etc/udev/rules.d/60-doorlight.rules; do
        if [ -f "$file" ] && [ ! -L "$file" ]; then printf '%s\n' "${file#/}"; fi
    done
}

# With a read-only root, these files are in memory. Keep copies of them, and the names of the enabled units, for
# systemd/restore-units.sh, which puts them in their places at boot.
keep_units() {
    if [ -n "$dry" ] || [ ! -d "$OPT/system" ]; then return 0; fi
    for file in $(managed_files); do put "/$file" "$OPT/system/$file" >/dev/null; done
    find "$OPT/system/etc" -type f | while read -r kept; do
        [ -f "${kept#"$OPT/system"}" ] || rm "$kept"
    done
    find /etc/systemd/system -path '*.wants/doorlight*' -printf '%f\n' | sort >"$scratch/enabled"
    put "$scratch/enabled" "$OPT/system/enabled" >/dev/null
}

service() {
    step "Service"
    # The program and the unit of a door that runs: they are restored if the new one does not start.
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
    # Not enabled: page, link and people sync are off until somebody wants them.
    put systemd/doorlight-web.service "$WEB_UNIT"
    put systemd/doorlight-link.service "$LINK_UNIT"
    for unit in doorlight-people.service doorlight-people.timer; do put "systemd/$unit" "$(dirname "$UNIT")/$unit"; done
    # This installation replaces a version that doorlight update has on trial. It would otherwise be taken back.
    # What the last check of updates found may be older than this version.
    [ -n "$dry$switch" ] || rm -f "$OPT/update/trial.json" "$OPT/update/latest-version"
    version="$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
    if [ "${version:-0}" -ge 254 ]; then
        for unit in doorlight-steady.service doorlight-steady.timer; do
            put "systemd/$unit" "$(dirname "$UNIT")/$unit"
        done
        put systemd/restart-backoff.conf "$DROP_INS/restart-backoff.conf"
    fi
    act systemctl --quiet enable doorlight.service
    keep_units
    [ -n "$dry" ] || sync
    if [ ! -d /run/systemd/system ]; then
        say "systemd is not running (in a chroot or an image): the service starts at the next boot"
        return
    fi
    act systemctl daemon-reload
    if [ -n "$without_start" ]; then
        say "not started (--without-start); start this version with: sudo systemctl restart doorlight"
        return
    fi
    # Returns when the door has processed its first picture.
    if ! act systemctl restart doorlight.service; then
        # The door's messages, without those of systemd.
        messages="$(journalctl _SYSTEMD_UNIT=doorlight.service -n 5 -o cat --no-pager || true)"
        if [ -z "$before" ] || [ "$before" = "$release" ]; then
            die 69 "installed, but the door does not start. Its messages:" "$messages"
        fi
        go_back ||
            die 69 "neither the new version nor the restored previous version starts. Messages of the new version:" "$messages"
        die 69 "the new version does not start; the previous version runs again. Messages of the new version:" "$messages"
    fi
    # Only if they run. The door is what matters: a page that does not start is no reason to go back.
    act systemctl try-restart doorlight-web.service || say "the page does not start: journalctl -u doorlight-web"
    act systemctl try-restart doorlight-link.service || say "the link does not start: journalctl -u doorlight-link"
    [ -n "$dry" ] || say "the service runs"
}

# The nightly timer of the statistics. After the service: if the new version does not start, the old one has perhaps no such
# command.
hours_timer() {
    step "Statistics"
    units="$(dirname "$UNIT")"
    put systemd/doorlight-hours.service "$units/doorlight-hours.service"
    put systemd/doorlight-hours.timer "$units/doorlight-hours.timer"
    act systemctl --quiet enable doorlight-hours.timer
    [ -d /run/systemd/system ] || return 0
    act systemctl daemon-reload
    act systemctl restart doorlight-hours.timer
    [ -n "$dry" ] || say "doorlight-hours.timer keeps the hours of the event log every night"
}

# What looks after an update, and the nightly update, which is off until somebody wants it.
update_units() {
    step "Updates"
    units="$(dirname "$UNIT")"
    for unit in doorlight-trial.service doorlight-trial.timer doorlight-update.service doorlight-update.timer; do
        put "systemd/$unit" "$units/$unit"
    done
    act systemctl --quiet enable doorlight-trial.service doorlight-trial.timer
    keep_units
    [ -d /run/systemd/system ] || return 0
    act systemctl daemon-reload
}

# The two steps of doorlight update. The program that runs and everything that belongs to it stay: the update may go back.
prepare() {
    check_machine
    apt_packages
    gpio_library
    program
    step "Settings"
    check_settings
    say "release: $release"
}

switch_to() {
    release="$1"
    [ -e "$release/.complete" ] || die 69 "$release: is no complete program"
    user_and_devices
    "$release/bin/doorlight" check-config >"$scratch/defaults.toml"
    put "$scratch/defaults.toml" "$ETC/defaults.toml"
    without_start=yes
    service
    hours_timer
    update_units
}

# Restore the previous program, unit and defaults. Fails if they do not start either. Files outside of these (udev rules, user,
# folders, kernel modules, the drop-in) stay as the new version wrote them.
go_back() {
    say "the new version does not start; restoring $before"
    link "$before" "$OPT/current"
    put "$scratch/unit" "$UNIT"
    keep_units
    if "$before/bin/doorlight" check-config >"$scratch/defaults.toml"; then put "$scratch/defaults.toml" "$ETC/defaults.toml"; fi
    systemctl daemon-reload
    systemctl restart doorlight.service
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

doctor() {
    [ -z "$dry" ] || return 0
    step "doorlight doctor"
    "$LINK" doctor ||
        say "Doorlight is installed, but the doctor found problems; see its hints above. To check again: sudo doorlight doctor"
}

# Stop the link, and remove the door from the broker and from Home Assistant. A broker that is away does not delay the
# uninstallation for long.
forget_link() {
    [ -e "$LINK_UNIT" ] || return 0
    [ ! -d /run/systemd/system ] || act systemctl stop doorlight-link.service
    act systemctl --quiet disable doorlight-link.service
    [ -e "$LINK_STATE/announced.json" ] || return 0
    act timeout 60 "$LINK" link --forget ||
        say "the broker still knows this door. From another machine: mosquitto_pub -r -n -t TOPIC, for each TOPIC in $(cat "$LINK_STATE/announced.json")"
}

uninstall() {
    if has_fstab_lines; then die 69 "the root is read-only" "first: sudo scripts/install.sh --read-write"; fi
    if has_left; then die 69 "a disk has data of this door" "first: sudo scripts/install.sh --read-write"; fi
    if [ -d /run/systemd/system ] && [ -e "$UNIT" ]; then
        act systemctl stop doorlight.service
    fi
    if [ -d /run/systemd/system ] && [ -e "$WEB_UNIT" ]; then
        act systemctl stop doorlight-web.service
    fi
    forget_link
    [ ! -e "$UNIT" ] || act systemctl --quiet disable doorlight.service
    [ ! -e "$WEB_UNIT" ] || act systemctl --quiet disable doorlight-web.service
    units="$(dirname "$UNIT")"
    if [ -e "$units/doorlight-hours.timer" ]; then
        [ ! -d /run/systemd/system ] || act systemctl stop doorlight-hours.timer
        act systemctl --quiet disable doorlight-hours.timer
    fi
    for unit in doorlight-steady.timer doorlight-people.timer doorlight-update.timer doorlight-trial.timer doorlight-trial.service; do
        [ -e "$units/$unit" ] || continue
        [ ! -d /run/systemd/system ] || act systemctl stop "$unit"
        act systemctl --quiet disable "$unit"
    done
    for path in "$units"/doorlight-steady.* "$units"/doorlight-people.* "$units"/doorlight-trial.* "$units"/doorlight-update.* "$UNIT" "$WEB_UNIT" "$LINK_UNIT" "$units/doorlight-hours.service" "$units/doorlight-hours.timer" "$DROP_INS" "$LINK" "$OPT" /etc/udev/rules.d/60-doorlight.rules \
        /etc/modules-load.d/doorlight.conf /etc/tmpfiles.d/doorlight.conf /etc/sysusers.d/doorlight.conf \
        /run/doorlight-trial-boot /run/doorlight-trial.json /var/lib/systemd/timers/stamp-doorlight-*.timer; do
        if [ -e "$path" ] || [ -L "$path" ]; then act rm -rf "$path"; fi
    done
    [ ! -d /run/systemd/system ] || act systemctl daemon-reload
    [ -n "$dry" ] || say "Doorlight is removed. Debian packages are kept: other programs may use them."
    [ -e "$STATE" ] || [ -e "$ETC" ] || return 0
    if [ -n "$dry" ]; then
        say "would ask whether to delete event log and enrolled people ($STATE), and your settings ($ETC)"
        return
    fi
    people="$(people_elsewhere)"
    printf 'Delete event log and enrolled people (%s), and your settings (%s), permanently? [y/N] ' "$STATE${people:+, $people}" "$ETC"
    answer=""
    read -r answer || say ""
    case "$answer" in
    y | Y | yes | YES)
        [ -z "$people" ] || delete_people "$people"
        delete_people "$STATE/people.db"
        overwrite_people "$STATE"
        overwrite_people "$ETC"
        rm -rf "$STATE" "$LINK_STATE" "$ETC"
        # The users last: their numeric ids may be reused, and must then not own files.
        if getent passwd doorlight-web >/dev/null; then userdel doorlight-web; fi
        if getent group doorlight-web >/dev/null; then groupdel doorlight-web; fi
        if getent passwd doorlight-link >/dev/null; then userdel doorlight-link; fi
        if getent group doorlight-link >/dev/null; then groupdel doorlight-link; fi
        if getent passwd doorlight >/dev/null; then userdel doorlight; fi
        if getent group doorlight >/dev/null; then groupdel doorlight; fi
        say "deleted"
        ;;
    *) say "kept: $STATE, $LINK_STATE, $ETC, and the users doorlight, doorlight-web and doorlight-link" ;;
    esac
}

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

dry="" wheels="" fetch="" camera="" expressions="" controller="" sign="" without_start="" uninstall="" prepare="" switch=""
read_only="" read_write="" data="" untested=""
while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help)
        help
        exit 0
        ;;
    --dry-run) dry=yes ;;
    --without-start) without_start=yes ;;
    --uninstall) uninstall=yes ;;
    --prepare) prepare=yes ;;
    --read-only) read_only=yes ;;
    --read-write) read_write=yes ;;
    --untested) untested=yes ;;
    --data | --camera | --expressions | --controller | --sign | --wheels | --fetch-wheels | --switch)
        # Not an option: "--camera --dry-run" must not install.
        case "${2:-}" in "" | --*) die 2 "$1 needs a value" "see scripts/install.sh --help" ;; esac
        case "$1" in
        --data) data="$2" ;;
        --camera) camera="$2" ;;
        --expressions)
            case "$2" in yes | no) ;; *) die 2 "--expressions: yes or no, not $2" ;; esac
            expressions="$2"
            ;;
        --controller) controller="$2" ;;
        --sign) sign="$2" ;;
        --switch) switch="$2" ;;
        --wheels) wheels="$(realpath -m -- "$2")" ;;
        --fetch-wheels) fetch="$(realpath -m -- "$2")" ;;
        esac
        shift
        ;;
    *) die 2 "unknown option: $1" "see scripts/install.sh --help" ;;
    esac
    shift
done
if [ -n "$wheels" ] && ! ls "$wheels"/doorlight-*.whl >/dev/null 2>&1; then
    die 2 "--wheels: $wheels has no doorlight-….whl" \
        "on a machine of the same kind with a network, run: scripts/install.sh --fetch-wheels DIR"
fi

if [ -n "$read_only$read_write" ] && [ -n "$camera$expressions$controller$sign$wheels$fetch$uninstall$prepare$switch" ]; then
    die 2 "--read-only and --read-write go with --data, --untested, --without-start and --dry-run only" "run the script twice"
fi
[ -z "$read_only" ] || [ -z "$read_write" ] || die 2 "--read-only or --read-write, not both"
[ -n "$read_only" ] || [ -z "$data$untested" ] || die 2 "--data and --untested go with --read-only only" "see scripts/install.sh --help"

cd "$(dirname "$0")/.."
# shellcheck source=scripts/read_only.sh
. scripts/read_only.sh
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# Not the caller's umask: the service's user must be able to read the installed files.
umask 022
unset PYTHONPATH PYTHONHOME PIP_REQUIRE_VIRTUALENV

if [ -n "$fetch" ]; then
    fetch_wheels "$fetch"
    exit 0
fi
[ -n "$dry" ] || [ "$(id -u)" = 0 ] || die 77 "the installation needs root: sudo scripts/install.sh (or --dry-run to print the steps)"
# A lock until the end of this script; the kernel releases it. Two installations at once would remove each other's files.
if [ -z "$dry$prepare$switch" ]; then
    exec 9>/run/doorlight-install.lock
    flock -n 9 || die 69 "another installation is running"
fi
if [ -n "$uninstall" ]; then
    uninstall
    exit 0
fi
if [ -n "$read_only" ]; then
    read_only
    exit 0
fi
if [ -n "$read_write" ]; then
    read_write
    exit 0
fi
# A running door comes first: on a small processor, unpacking and compiling packages would slow it down for minutes.
renice -n 19 -p $$ >/dev/null || true
ionice -c 3 -p $$ || true
if [ -n "$prepare" ]; then
    prepare
    exit 0
fi
if [ -n "$switch" ]; then
    switch_to "$switch"
    exit 0
fi
check_machine
questions
apt_packages
gpio_library
user_and_devices
program
settings
service
hours_timer
update_units
tidy
doctor
[ -n "$dry" ] || say "
Done. To follow the events: doorlight events --follow"
