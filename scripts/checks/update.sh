#!/bin/sh
# Boot a Debian and try, keep, take back and interrupt updates in it. See scripts/checks/update.sh --help.
set -eu

help() {
    cat <<'HELP'
usage: sudo scripts/checks/update.sh [--suite trixie|bookworm] [--cache DIR]

Boots a clean Debian (systemd-nspawn) with the units as shipped, and doors that only tell systemd how they are. Checks
with systemd itself: a new version is kept after its healthy time (50 s here), is taken back by hand, is taken back when it ends
by itself, and is taken back at boot, before the door starts, if the box is switched off in between.

It is not part of scripts/test. It needs root, a network for the first run, mmdebstrap and systemd-container, 1 GB of disk or memory
and four minutes.

  --suite NAME  Debian 13 (trixie, the default) or Debian 12 (bookworm)
  --cache DIR   keep the clean system in DIR for the next run (default: ~/.cache/doorlight)
HELP
}

# shellcheck source=scripts/checks/common.sh
. "$(dirname "$0")/common.sh"
read_options "mmdebstrap systemd-nspawn" "$@"
cd "$(dirname "$0")/../.."

# --- a clean system with three versions of a door ----------------------------------------------------------------
clean_system update systemd-sysv,dbus,python3,python3-pip,ca-certificates
work="$(mktemp -d)"
root="$work/root"
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$root"
tar -xf "$tar" -C "$root" --exclude='./dev/*'
case "$suite" in bookworm) python=3.11 ;; *) python=3.13 ;; esac
mkdir -p "$root/opt/code"
cp -r edge "$root/opt/code/"
# The only package that looking after a trial needs.
python3 -m pip --disable-pip-version-check download --quiet --no-deps --only-binary :all: --python-version "$python" --dest "$work" msgspec ||
    fail "msgspec cannot be downloaded"
python3 -m zipfile -e "$work"/msgspec-*.whl "$root/opt/code"
units="$root/etc/systemd/system"
cp systemd/doorlight.service systemd/doorlight-trial.* systemd/doorlight-update.* "$units/"
mkdir -p "$root/etc/sysusers.d" "$root/etc/tmpfiles.d" "$root/etc/doorlight" "$root/spare"
cp systemd/doorlight.sysusers "$root/etc/sysusers.d/doorlight.conf"
cp systemd/doorlight.tmpfiles "$root/etc/tmpfiles.d/doorlight.conf"
touch "$root/etc/doorlight/defaults.toml" "$root/etc/doorlight/doorlight.toml"
for spec in "a 0.1.0 0" "b 0.2.0 0" "c 0.3.0 8"; do
    # shellcheck disable=SC2086  # three words
    set -- $spec
    release="$root/spare/$1"
    mkdir -p "$release/bin" "$release/lib/python$python/site-packages/doorlight-$2.dist-info"
    touch "$release/.complete"
    sed "s/VERSION/$2/g; s/ENDS_AFTER_S/$3/g" scripts/checks/update/door.py >"$release/bin/doorlight"
    chmod 755 "$release/bin/doorlight"
done
mkdir -p "$root/opt/doorlight/releases"
cp -r "$root/spare/a" "$root/opt/doorlight/releases/"
ln -s /opt/doorlight/releases/a "$root/opt/doorlight/current"
cp scripts/checks/update/begin_trial.py scripts/checks/update/plan.sh "$root/"
printf '[Service]\nExecStart=sh /plan.sh\n[Install]\nWantedBy=basic.target\n' >"$units/plan.service"
chroot "$root" systemd-sysusers 2>/dev/null
chroot "$root" systemctl --quiet enable plan.service doorlight.service doorlight-trial.service doorlight-trial.timer

# plan STEP...: boot, do the steps (see update/plan.sh), and end; the log is in $root/log.
plan() {
    echo "$*" >"$root/plan"
    rm -f "$root/log"
    timeout 300 systemd-nspawn --quiet --register=no --keep-unit --private-network -D "$root" --boot >"$work/boot.log" 2>&1 || true
}
says() { grep -q -- "$1" "$root/log" || fail "the log does not say: $1"; }

# --- kept, and taken back by hand --------------------------------------------------------------------------------
plan try-b wait-110 rollback off
says "version 0.2.0 is on trial"
says "from 0.1.0 to 0.2.0: kept"
says "STATE b active StatusText=IDLE, version 0.2.0 timer=inactive extra=yes"
says "STATE a active StatusText=IDLE, version 0.1.0 timer=inactive extra=no"
ok "a new version is kept, its timer stops, and --rollback brings the version before back"

# --- a version that ends by itself; then the plug ---------------------------------------------------------------
plan try-c wait-60 try-b unplug
says "taken back to 0.1.0, because: version 0.3.0 ended by itself"
says "STATE a active StatusText=IDLE, version 0.1.0 timer=inactive extra=no"
ok "a version that ends by itself is taken back"
[ "$(readlink "$root/opt/doorlight/current")" = /opt/doorlight/releases/b ] || fail "0.2.0 was not on trial"
plan wait-3 off
says "taken back to 0.1.0, because: the box was restarted"
says "STATE a active StatusText=IDLE, version 0.1.0 timer=inactive extra=no"
grep -q "door 0.2.0" "$root/log" && fail "the door started before the way back"
ok "switched off during a trial: the version before is back before the door starts"
echo "passed"
