#!/bin/sh
# Run scripts/install.sh in a clean Debian. See scripts/checks/install.sh --help.
set -eu

help() {
    cat <<'HELP'
usage: sudo scripts/checks/install.sh [--suite trixie|bookworm] [--cache DIR]

Installs Doorlight in a clean Debian in its own folder (chroot) and checks: a dry run that changes nothing, an
installation that is killed, the next one that completes it, one that has nothing to do, an upgrade without a network and
with settings that do not fit, the demo clip run as the service's user, a signed update that is tried and taken back (with a
stand-in for systemd), both ways to uninstall.

It is not part of scripts/test. It needs root, a network, mmdebstrap (apt install mmdebstrap), 2 GB of disk and, on two
idle cores with a fast network, two minutes. It changes nothing outside the folder.

  --suite NAME  Debian 13 (trixie, the default) or Debian 12 (bookworm)
  --cache DIR   keep the clean system in DIR for the next run (default: ~/.cache/doorlight)

It does not test the packages of Raspberry Pi OS (picamera2, lgpio), nor the start of the service by systemd.
HELP
}

# shellcheck source=scripts/checks/common.sh
. "$(dirname "$0")/common.sh"
read_options mmdebstrap "$@"
# A private mount namespace: the mounts disappear when this script ends.
if [ -z "${CHECK_INSTALL_INSIDE:-}" ]; then
    CHECK_INSTALL_INSIDE=yes exec unshare --mount --propagation private "$0" --cache "$cache" --suite "$suite"
fi
cd "$(dirname "$0")/../.."

# --- a clean system, with the checkout in it -------------------------------------------------------------------------
clean_system systemd ca-certificates,systemd-sysv,udev
root="$cache/check-install"
rm -rf --one-file-system "$root"
mkdir -p "$root"
trap 'umount -R "$root" 2>/dev/null || true; rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mount -t tmpfs -o size=4G none "$root" 2>/dev/null || true # in memory if possible: faster, and no writes to an SD card
tar -xf "$tar" -C "$root" --exclude='./dev/*'
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 none "$root/run"
# Access to the package servers: name server and certificates.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
mkdir -p "$root/src"
git -c safe.directory="$PWD" ls-files -z --cached --others --exclude-standard |
    tar --null --files-from - --ignore-failed-read -c 2>/dev/null | tar -x --no-same-owner -C "$root/src"

inside() { env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 chroot "$root" "$@"; }
as_door() { inside runuser -u doorlight -- "$@"; }
offline() { unshare --net -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 chroot "$root" "$@"; }
# Names, types, modes, owners and sizes of all files that Doorlight may change.
snapshot() {
    (cd "$root" && find etc opt usr/local var/lib/doorlight -printf '%p %y %m %U:%G %s %l\n' 2>/dev/null |
        grep -vE '^(etc|opt|usr/local|usr/local/bin) |ca-certificates|etc/(passwd|group|shadow|gshadow|subuid|subgid)-? |ld\.so\.cache|__pycache__' | sort)
}
current() { readlink "$root/opt/doorlight/current"; }

# --- dry run ------------------------------------------------------------------------------------------------------
# All files except the cache that apt-cache writes when root runs it.
everything() { find "$root" -xdev ! -path "$root/var/cache/apt*" -printf '%p %y %m %s\n' | sort | cksum; }
before="$(everything)"
inside /src/scripts/install.sh --dry-run >"$cache/check-install.log" 2>&1 || { cat "$cache/check-install.log"; fail "the dry run"; }
[ "$(everything)" = "$before" ] || fail "the dry run changed something"
grep -q "apt-get install --no-install-recommends python3 python3-venv" "$cache/check-install.log" || fail "the dry run does not name the packages"
ok "a dry run on a clean system changes nothing"

# --- killed, then completed ----------------------------------------------------------------------------------
setsid env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    chroot "$root" /src/scripts/install.sh --without-start --camera /dev/video0 >"$cache/check-install.log" 2>&1 &
victim=$!
tries=0
until ls -d "$root"/opt/doorlight/releases/*/lib/python3*/site-packages/cv2 >/dev/null 2>&1; do
    kill -0 "$victim" 2>/dev/null || { cat "$cache/check-install.log"; fail "the installation ended before it could be killed"; }
    tries=$((tries + 1))
    [ "$tries" -lt 6000 ] || fail "no incomplete program after 20 minutes"
    sleep 0.2
done
kill -s KILL -- "-$victim"
wait "$victim" 2>/dev/null || true
# On a busy machine, the last of its processes, which has the lock of installations, ends a moment later.
flock -w 60 "$root/run/doorlight-install.lock" true || fail "the killed installation still runs"
ls "$root"/opt/doorlight/releases/*/.complete >/dev/null 2>&1 && fail "killed too late"
[ ! -e "$root/opt/doorlight/current" ] || fail "an incomplete program is in use"
ok "killed while Python packages were being unpacked: the incomplete program is not used"

inside /src/scripts/install.sh --without-start --camera /dev/video0 --expressions yes --controller "Dr. Who" --sign left 2>&1 | tee "$cache/check-install.log"
[ -e "$root$(current)/.complete" ] || fail "no complete program"
[ "$(readlink "$root/usr/local/bin/doorlight")" = /opt/doorlight/current/bin/doorlight ] || fail "no command"
[ -L "$root/etc/systemd/system/multi-user.target.wants/doorlight.service" ] || fail "the service is not enabled"
[ -L "$root/etc/systemd/system/timers.target.wants/doorlight-hours.timer" ] || fail "the timer of the statistics is not enabled"
for group in video gpio plugdev; do
    inside id -nG doorlight | grep -qw "$group" || fail "the user is not in group $group"
done
[ "$(inside stat -c '%U %a' /var/lib/doorlight)" = "doorlight 755" ] || fail "wrong owner or mode of the event log's folder"
grep -q 'source = "/dev/video0"' "$root/etc/doorlight/doorlight.toml" || fail "--camera is not in the settings"
grep -q 'controller = "Dr. Who"' "$root/etc/doorlight/doorlight.toml" || fail "--controller is not in the settings"
inside systemd-analyze verify --man=no doorlight.service doorlight-hours.timer || fail "systemd-analyze reports problems of the unit"
inside systemd-analyze verify --man=no doorlight-web.service || fail "systemd-analyze reports problems of the page's unit"
[ ! -e "$root/etc/systemd/system/multi-user.target.wants/doorlight-web.service" ] || fail "the page is enabled"
inside doorlight web --for 2s --listen 127.0.0.1:8099 | grep -q 'http://127.0.0.1:8099/?token=' || fail "the page does not start"
ok "the next run completes the installation; $(du -sm "$root/opt/doorlight" | cut -f 1) MB under /opt/doorlight"

# --- run the program --------------------------------------------------------------------------------------------------------
cp scripts/assets/demo/door.mp4 "$root/tmp/"
as_door doorlight run --simulate --source /tmp/door.mp4 --config /etc/doorlight/doorlight.toml \
    --events /var/lib/doorlight/events.jsonl >"$cache/check-install.log" 2>&1 || { cat "$cache/check-install.log"; fail "the clip"; }
inside runuser -u nobody -- doorlight events | tee "$cache/check-install.log" | tail -3
grep -q "ALARM 1" "$cache/check-install.log" || fail "the clip's alarm is not in the event log"
ok "the user doorlight runs the clip; 'doorlight events' of any user finds the log"
inside runuser -u nobody -- doorlight stats >"$cache/check-install.log" 2>&1 || { cat "$cache/check-install.log"; fail "statistics"; }
grep -Eq "people judged +3$" "$cache/check-install.log" || fail "the statistics have not the three people of the clip"
ok "'doorlight stats' of any user counts the people of the clip"

# --- nothing to do ----------------------------------------------------------------------------------------------
printf '\n[lights]\ngreen = 5\n' >>"$root/etc/doorlight/doorlight.toml"
before="$(snapshot)"
inside /src/scripts/install.sh --without-start >"$cache/check-install.log" 2>&1 || { cat "$cache/check-install.log"; fail "a second time"; }
[ "$(snapshot)" = "$before" ] || fail "a second time changed something"
grep -q "^wrote" "$cache/check-install.log" && fail "the second run wrote a file"
ok "a second time changes nothing, edited settings included"

# --- an upgrade without a network ------------------------------------------------------------------------------------
inside /src/scripts/install.sh --fetch-wheels /wheels
old="$(current)"
sed -i 's/green = 5/grin = 5/' "$root/etc/doorlight/doorlight.toml"
code=0
offline /src/scripts/install.sh --without-start --wheels /wheels >"$cache/check-install.log" 2>&1 || code=$?
[ "$code" = 78 ] || { cat "$cache/check-install.log"; fail "settings that do not fit: exit code $code"; }
[ "$(current)" = "$old" ] || fail "the new program is in use although the settings do not fit"
ok "settings that do not fit stop an upgrade (78), and the old program stays in use"
sed -i 's/grin = 5/green = 6/' "$root/etc/doorlight/doorlight.toml"
offline /src/scripts/install.sh --without-start --wheels /wheels >"$cache/check-install.log" 2>&1 || { cat "$cache/check-install.log"; fail "offline"; }
[ "$(current)" != "$old" ] || fail "the new program is not in use"
[ ! -e "$root$old" ] || fail "the old program was not removed"
as_door doorlight check-config /etc/doorlight/doorlight.toml >/dev/null || fail "the upgraded program"
ok "an upgrade from a folder of wheels, without a network"

# --- a signed update -----------------------------------------------------------------------------------------------
inside apt-get -q install -y --no-install-recommends openssh-client >"$cache/check-install.log" 2>&1 || fail "openssh-client"
# systemd does not run in a chroot: a door that always runs stands in for it.
cat >"$root/usr/local/sbin/systemctl" <<'STANDIN'
#!/bin/sh
case "$1" in
show) printf 'ActiveState=active\nResult=success\nNRestarts=%s\nInvocationID=a\nMainPID=0\nStatusText=IDLE, 15 frames/s\n' "$(cat /run/restarts)" ;;
restart) echo 0 >/run/restarts && exec /opt/doorlight/current/bin/doorlight --version ;;
start | stop | daemon-reload | try-restart) ;;
*) exec /usr/bin/systemctl "$@" ;;
esac
STANDIN
chmod 755 "$root/usr/local/sbin/systemctl"
echo 0 >"$root/run/restarts"
sed -i 's/^__version__ = .*/__version__ = "99.0.0"/' "$root/src/edge/__init__.py"
rm -rf "$root/wheels"
inside /src/scripts/install.sh --fetch-wheels /wheels >"$cache/check-install.log" 2>&1 || { cat "$cache/check-install.log"; fail "the wheels of the update"; }
inside ssh-keygen -q -t ed25519 -N '' -f /root/key
inside /src/scripts/release --key /root/key --wheels /wheels --out /media >"$cache/check-install.log" 2>&1 || { cat "$cache/check-install.log"; fail "scripts/release"; }
bundle="$(sed -n 2p "$cache/check-install.log")"
code=0
inside doorlight update "$bundle" >"$cache/check-update.log" 2>&1 || code=$?
[ "$code" = 78 ] || { cat "$cache/check-update.log"; fail "an update without trusted keys: exit code $code"; }
tail -1 "$cache/check-install.log" >"$root/etc/doorlight/update-keys"
old="$(current)"
# Not folders: in memory, their size counts their files.
of_version() { snapshot | grep -vE '^(opt/doorlight/(update|releases)|etc/doorlight/update-keys)|^[^ ]+ d '; }
of_version >"$cache/check-before"
offline doorlight update "$bundle" >"$cache/check-update.log" 2>&1 || { cat "$cache/check-update.log"; fail "the update"; }
inside doorlight update --status | tee -a "$cache/check-update.log"
[ "$(inside doorlight --version)" = "doorlight 99.0.0" ] || fail "the update is not in use"
[ -e "$root$old/.complete" ] || fail "the version before was removed"
echo 1 >"$root/run/restarts"
inside "$(readlink "$root/opt/doorlight/update/previous")/bin/doorlight" update --watch || fail "looking after the trial"
[ "$(current)" = "$old" ] || fail "a version that ended by itself was not taken back"
of_version | diff "$cache/check-before" - || fail "not everything was taken back"
inside doorlight update --status | tee -a "$cache/check-update.log"
ok "a signed update from a tar file, without a network: tried, and taken back with all its files"
offline doorlight update "$bundle" >"$cache/check-update.log" 2>&1 || { cat "$cache/check-update.log"; fail "the update, again"; }
inside doorlight update --rollback || fail "--rollback"
[ "$(current)" = "$old" ] || fail "--rollback did not bring the version before back"
ok "'doorlight update --rollback' brings the version before back"
rm "$root/usr/local/sbin/systemctl"

# --- uninstall ----------------------------------------------------------------------------------------------------
echo n | inside /src/scripts/install.sh --uninstall >"$cache/check-install.log" 2>&1 || fail "uninstalling"
[ -s "$root/var/lib/doorlight/events.jsonl" ] || fail "uninstalling deleted the event log without consent"
inside /src/scripts/install.sh --uninstall </dev/null >"$cache/check-install.log" 2>&1 || fail "uninstalling without an answer"
[ -s "$root/var/lib/doorlight/events.jsonl" ] || fail "uninstalling without an answer deleted the event log"
ok "uninstalled; event log and settings are kept"
echo y | inside /src/scripts/install.sh --uninstall >"$cache/check-install.log" 2>&1 || fail "uninstalling everything"
left="$(cd "$root" && find etc opt usr/local var run -iname '*doorlight*' ! -name 'doorlight-install.lock')"
[ -z "$left" ] || fail "remaining files: $left"
inside getent passwd doorlight doorlight-web >/dev/null && fail "a user was not removed"
ok "uninstalled everything; no file of Doorlight remains"
echo "passed"
