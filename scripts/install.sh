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

# The steps, each file one job. They define functions and constants, and run nothing.
parts="$(dirname "$0")/installation"
# shellcheck source=scripts/installation/common.sh
. "$parts/common.sh"
# shellcheck source=scripts/installation/machine.sh
. "$parts/machine.sh"
# shellcheck source=scripts/installation/packages.sh
. "$parts/packages.sh"
# shellcheck source=scripts/installation/program.sh
. "$parts/program.sh"
# shellcheck source=scripts/installation/settings.sh
. "$parts/settings.sh"
# shellcheck source=scripts/installation/service.sh
. "$parts/service.sh"
# shellcheck source=scripts/installation/update.sh
. "$parts/update.sh"
# shellcheck source=scripts/installation/uninstall.sh
. "$parts/uninstall.sh"
# shellcheck source=scripts/installation/named_files.sh
. "$parts/named_files.sh"
# shellcheck source=scripts/installation/people_files.sh
. "$parts/people_files.sh"
# shellcheck source=scripts/installation/root.sh
. "$parts/root.sh"
# shellcheck source=scripts/installation/read_only_plan.sh
. "$parts/read_only_plan.sh"
# shellcheck source=scripts/installation/read_only.sh
. "$parts/read_only.sh"
# shellcheck source=scripts/installation/read_write.sh
. "$parts/read_write.sh"

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
