#!/bin/sh
# Boot a Debian with a read-only root, cut its power, update it, and go back. See scripts/checks/read_only.sh --help.
set -eu

help() {
    cat <<'HELP'
usage: sudo scripts/checks/read_only.sh [--suite trixie] [--cache DIR]

Installs Doorlight in a clean Debian 13 on a disk (a loop device), makes its root read-only with scripts/install.sh --read-only and
a second disk, and boots it: the init-bottom script of its own initramfs makes the overlay, and systemd-nspawn starts systemd. Checks:
hours of events over several boots write no block of the root (counted by the block device, and compared), 50 power cuts lose no
durable event, settings survive, a missing disk leaves the door off, an update is taken back after a power cut and kept after its
healthy time (40 s here), its units survive a boot, and --read-write brings everything back.

The kernel is that of this computer, so there is no boot loader, and no device in the door. It is not part of scripts/test. It needs
root, a network for the first run, mmdebstrap, systemd-container, e2fsprogs and cpio, 6 GB of disk and, on two idle cores, 25 minutes.

  --suite NAME  Debian 13 (trixie); Debian 12 is not offered a read-only root
  --cache DIR   keep the clean system and the Python packages in DIR for the next run (default: ~/.cache/doorlight)

CUTS=N in the environment: number of power cuts (default: 50)
HELP
}

# shellcheck source=scripts/checks/common.sh
. "$(dirname "$0")/common.sh"
read_options "mmdebstrap systemd-nspawn debugfs mke2fs losetup cpio" "$@"
if [ -z "${CHECK_READ_ONLY_INSIDE:-}" ]; then
    CHECK_READ_ONLY_INSIDE=yes exec unshare --mount --propagation private "$0" --cache "$cache" --suite "$suite"
fi
cd "$(dirname "$0")/../.."
cuts="${CUTS:-50}"
release="$(uname -r)"

# --- a system on a disk, with Doorlight and a bundle of a newer version ----------------------------------------------------
clean_system read-only systemd-sysv,dbus,udev,kmod,procps,python3,python3-venv,e2fsprogs,initramfs-tools,busybox,overlayroot,openssh-client
work="$(mktemp -d -p "$cache")"
tree="$work/tree"
pid="" root_disk="" data_disk="" hammer=""
# Release what a boot has made; what was not written to the disks is lost with the machine.
switch_off() {
    if [ -n "$pid" ]; then
        kill -s KILL "$pid" 2>/dev/null || true
        # nsenter stops with the program that it has started; the machine ends only if it is gone.
        if [ -n "$hammer" ]; then
            pkill -KILL -P "$hammer" || true
            wait "$hammer" 2>/dev/null || true
            hammer=""
        fi
        wait "$nspawn" 2>/dev/null || true
        pid=""
    fi
    umount -R "$work/initramfs" 2>/dev/null || umount -l -R "$work/initramfs" 2>/dev/null || true
    for disk in $root_disk $data_disk; do losetup -d "$disk" 2>/dev/null || true; done
    root_disk="" data_disk=""
}
trap 'switch_off; umount -R "$tree/proc" "$tree/dev" 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$tree" "$work/initramfs" "$work/out"
tar -xf "$tar" -C "$tree" --exclude='./dev/*'
mount -t proc proc "$tree/proc"
inside() { env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 chroot "$tree" "$@"; }
mkdir -p "$tree/src" "$tree/dev"
mount --rbind /dev "$tree/dev"
cp -a edge models_tflite systemd scripts pyproject.toml README.md LICENSE "$tree/src/"
# The packages that this version needs: those of another version may lack one.
wheels="$cache/$suite-wheels-$(cat pyproject.toml scripts/install.sh scripts/installation/*.sh | sha256sum | cut -c 1-12)"
if ! ls "$wheels/"*.whl >/dev/null 2>&1; then
    # Access to the package servers: name server and certificates.
    cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
    mkdir -p "$tree/etc/ssl/certs"
    cp -L /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"
    inside /src/scripts/install.sh --fetch-wheels /wheels
    rm "$tree"/wheels/doorlight-*.whl
    mkdir -p "$wheels"
    cp "$tree"/wheels/*.whl "$wheels/"
fi
mkdir -p "$tree/wheels"
cp "$wheels/"*.whl "$tree/wheels/"
# wheel VERSION: the wheel of this checkout under a number, with a trial of 40 s.
wheel() {
    rm -rf "$tree"/wheels/doorlight-*.whl "$work/source"
    mkdir "$work/source"
    cp -a edge models_tflite pyproject.toml README.md LICENSE "$work/source/"
    sed -i 's/^HEALTHY_S = 600.0$/HEALTHY_S = 40.0/' "$work/source/edge/update/trial.py"
    [ -z "$1" ] || sed -i "s/^__version__ = .*/__version__ = \"$1\"/" "$work/source/edge/__init__.py"
    python3 -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir "$tree/wheels" "$work/source" || fail "the wheel"
}
wheel ""
inside /src/scripts/install.sh --without-start --camera /dev/video0 --wheels /wheels >"$work/log" 2>&1 || { cat "$work/log"; fail "the installation"; }
wheel 99.0.0
echo "# of 99.0.0" >>"$tree/src/systemd/doorlight.service"
printf '[Unit]\nDescription=A unit of a new version only\n[Service]\nType=oneshot\nExecStart=/bin/true\n' >"$tree/src/systemd/doorlight-extra.service"
inside ssh-keygen -q -t ed25519 -N '' -f /root/key
sed -i 's/^__version__ = .*/__version__ = "99.0.0"/' "$tree/src/edge/__init__.py"
inside /src/scripts/release --key /root/key --wheels /wheels --out /bundle >"$work/log" 2>&1 || { cat "$work/log"; fail "scripts/release"; }
tail -n 1 "$work/log" >"$tree/etc/doorlight/update-keys"
rm -rf "$tree/src/systemd" "$tree/wheels" "$tree/src/edge" "$tree/src/models_tflite" "$tree"/bundle/*.tar "$work/source"
cp -a systemd "$tree/src/"
# What the package of a kernel does.
mkdir -p "$tree/lib/modules/$release"
touch "$tree/lib/modules/$release/modules.order" "$tree/lib/modules/$release/modules.builtin"
inside depmod "$release"
inside update-initramfs -c -k "$release" >"$work/log" 2>&1 || { cat "$work/log"; fail "the initramfs"; }
# A container has no terminal and no network.
for unit in systemd-networkd-wait-online.service getty.target console-getty.service systemd-journal-flush.service; do
    ln -sf /dev/null "$tree/etc/systemd/system/$unit"
done
# In a container, systemd's own generator ignores the disks of /etc/fstab; the binds it takes.
mkdir -p "$tree/etc/systemd/system-generators"
cp scripts/checks/read_only/data_mount.sh "$tree/etc/systemd/system-generators/data-mount"
printf 'UUID=11111111-2222-3333-4444-555555555555 / ext4 defaults 0 1\n' >"$tree/etc/fstab"
printf 'door\n' >"$tree/etc/hostname"
mkdir -p "$tree/out" "$tree/var/log/journal"
umount -R "$tree/proc" "$tree/dev"
mke2fs -q -t ext4 -U 11111111-2222-3333-4444-555555555555 -E lazy_itable_init=0,lazy_journal_init=0 -d "$tree" "$work/root.img" 2500M
rm -rf --one-file-system "$tree"
truncate -s 2000M "$work/data.img"
mke2fs -q -t ext4 -U 66666666-7777-8888-9999-aaaaaaaaaaaa -E lazy_itable_init=0,lazy_journal_init=0 "$work/data.img"
echo "console=tty1 root=UUID=11111111-2222-3333-4444-555555555555 rootwait" >"$work/out/cmdline"
echo "disks are ready"

# --- boot, run commands, cut the power -----------------------------------------------------------------------------------
# The kernel's counters of writes to the disk of the root, which a loop device keeps from one disk to the next.
root_writes() { awk '{ print $5, $7 }' "/sys/block/${root_disk#/dev/}/stat"; }
# boot [no-data]: what boot loader, kernel and initramfs do, then systemd. Returns when the system is up.
boot() {
    root_disk="$(losetup -f --show "$work/root.img")"
    writes_at_boot="$(root_writes)"
    [ "${1:-}" = no-data ] || data_disk="$(losetup -f --show "$work/data.img")"
    initramfs="$work/initramfs"
    mount -t tmpfs none "$initramfs"
    debugfs -R "dump /boot/initrd.img-$release $initramfs/initrd" "$work/root.img" 2>/dev/null
    (cd "$initramfs" && { zstd -dc initrd 2>/dev/null || gzip -dc initrd; } | cpio -id --quiet)
    mkdir -p "$initramfs/proc" "$initramfs/dev" "$initramfs/root" "$initramfs/run/initramfs" "$initramfs/tmp"
    mount -t proc proc "$initramfs/proc"
    mount --bind "$work/out/cmdline" "$initramfs/proc/cmdline"
    mount --bind /dev "$initramfs/dev"
    mount -o ro "$root_disk" "$initramfs/root"
    env -i PATH=/sbin:/bin quiet=n rootmnt=/root ROOT="$root_disk" UNAME_R="$release" chroot "$initramfs" /bin/sh /scripts/init-bottom/overlayroot \
        >"$work/init.log" 2>&1 || { cat "$work/init.log"; fail "the initramfs"; }
    # systemd-nspawn writes to the root: an overlay is writable, and a root that is mounted as a usual one will be.
    findmnt -n -t overlay "$initramfs/root" >/dev/null || mount -o remount,rw "$initramfs/root"
    set -- "--bind=$root_disk"
    [ -z "$data_disk" ] || set -- "$@" "--bind=$data_disk"
    UNIFIED_CGROUP_HIERARCHY=1 systemd-nspawn --quiet --register=no --keep-unit --private-network --resolv-conf=off --timezone=off \
        --link-journal=no "$@" "--bind=$work/out:/out" \
        -D "$initramfs/root" --boot >"$work/console.log" 2>&1 </dev/null &
    nspawn=$!
    tries=0
    until pid="$(pgrep -P "$nspawn" | head -n 1)" && [ -n "$pid" ] && run systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || { cat "$work/console.log"; fail "the system does not start"; }
        sleep 0.5
    done
    # What the kernel and the initramfs leave.
    run mount --bind /out/cmdline /proc/cmdline
    run mkdir -p /run/initramfs
}
# run COMMAND...: in the system, as root.
run() { nsenter -t "$pid" -a env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"; }
off() {
    run systemctl poweroff
    wait "$nspawn" || true
    pid=""
    switch_off
}
# Stop every process, copy the disk of the data as it is, without what is only in the kernel's memory, then end them.
power_cut() {
    stopped="$(pgrep --ns "$pid" --nslist pid)"
    # shellcheck disable=SC2086  # a list of processes
    kill -s STOP $stopped 2>/dev/null || true
    cut_at="$(cut -d ' ' -f 1 /proc/uptime)"
    tries=0
    until [ "$tries" -ge 40 ]; do
        before="$(cat "/sys/block/${data_disk#/dev/}/stat")"
        cp --sparse=always "$work/data.img" "$work/cut.img"
        [ "$before" != "$(cat "/sys/block/${data_disk#/dev/}/stat")" ] || break
        tries=$((tries + 1))
    done
    switch_off
    mv "$work/cut.img" "$work/data.img"
    e2fsck -p "$work/data.img" >"$work/fsck.log" 2>&1 || [ $? -le 1 ] || { cat "$work/fsck.log"; fail "e2fsck of the data"; }
}
no_root_writes() { equal "$1: writes to the root since boot (requests, sectors)" "$writes_at_boot" "$(root_writes)"; }
root_digest() { cksum <"$work/root.img"; }
active() { run systemctl is-active --quiet doorlight || { run journalctl -b -u doorlight -n 30 --no-pager; fail "$1: the door does not run"; }; }
equal() { [ "$2" = "$3" ] || fail "$1: expected '$2', seen '$3'"; }
# doctor_says TEXT: whether a finding has this text. It is wrapped at the width of a terminal otherwise.
doctor_says() {
    run doorlight doctor --json >"$work/doctor.json" || true
    grep -qF -- "$1" "$work/doctor.json" || { grep -A 4 storage "$work/doctor.json"; return 1; }
}
version() { run doorlight --version; }
# All files that the way back must leave as they were.
snapshot() {
    # shellcheck disable=SC2016  # variables of the other shell
    run sh -c 'cd /; what="etc usr/local opt/doorlight var/lib/doorlight"; not="-type f ! -path *__pycache__* ! -name *.jsonl*"
        set -f; find $what $not -printf "%p %m %U:%G\n"; find $what $not -exec cksum {} +; find etc opt/doorlight -type l -printf "%p %l\n"' | sort
}

# --- writable, then read-only -------------------------------------------------------------------------------------------
boot
active "a writable root"
old="$(version)"
snapshot >"$work/before"
run /src/scripts/install.sh --read-only --data UUID=66666666-7777-8888-9999-aaaaaaaaaaaa --without-start >"$work/log" 2>&1 || { cat "$work/log"; fail "--read-only"; }
cat "$work/log"
off
digest="$(root_digest)"
boot
equal "the root" "overlayroot overlay" "$(run findmnt -n -r -o SOURCE,FSTYPE /)"
active "a read-only root"
doctor_says "the root is read-only, nothing is written to it; log, settings and program are on $data_disk" || fail "doctor does not say that the root is read-only"
ok "the root is read-only, and doctor says so"
run sh -c 'mkdir -p /tmp/p/DEBIAN; printf "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n" >/tmp/p/DEBIAN/control; dpkg-deb -b /tmp/p /tmp/p.deb' >/dev/null
if run apt-get -y install /tmp/p.deb >"$work/log" 2>&1; then fail "apt changes a read-only root"; fi
grep -q "the root is read-only" "$work/log" || { cat "$work/log"; fail "apt does not say why it is refused"; }
run sh -c 'printf "\n# changed\n" >>/etc/doorlight/doorlight.toml; sync; echo x >/etc/of-the-system'
settings="$(run cksum /etc/doorlight/doorlight.toml)"
for boots in 1 2 3; do
    run systemctl start doorlight-hours.service
    run systemctl restart doorlight
    run sh -c 'doorlight doctor >/dev/null; logger of-the-system; sync'
    sleep 6
    no_root_writes "boot $boots"
    power_cut
    boot
    active "boot $boots"
done
equal "changed settings after power cuts" "$settings" "$(run cksum /etc/doorlight/doorlight.toml)"
run test ! -e /etc/of-the-system || fail "the root has kept a change"
power_cut
equal "the blocks of the root" "$digest" "$(root_digest)"
ok "three boots with power cuts: no block of the root is written, settings are kept, changes of the root are gone"

# --- power cuts while events are written -----------------------------------------------------------------------------------
cp scripts/virtual_door/guest/hammer.py scripts/checks/read_only/check_log.py "$work/out/"
# check_log: compare the log with what the hammer wrote before the last cut.
check_log() {
    run runuser -u doorlight -- /opt/doorlight/current/bin/python -B /out/check_log.py /var/lib/doorlight/hammer.jsonl "/out/hammered-$cut" /out/found "$cut_at" ||
        fail "power cut $cut"
}
: >"$work/out/found"
chmod 666 "$work/out/found"
cut=0
while [ "$cut" -lt "$cuts" ]; do
    boot
    [ "$cut" = 0 ] || check_log
    cut=$((cut + 1))
    run runuser -u doorlight -- /opt/doorlight/current/bin/python -B /out/hammer.py /var/lib/doorlight/hammer.jsonl "$((cut * 1000000))" >"$work/out/hammered-$cut" 2>"$work/hammer.log" &
    hammer=$!
    # Between 2 and 8 s after the start of the hammer; each cut another.
    sleep "$((2 + cut * 5 % 7)).$((cut * 37 % 100))"
    no_root_writes "power cut $cut"
    power_cut
done
boot
check_log
active "after $cuts power cuts"
ok "$cuts power cuts: no event older than a second is lost, no line is damaged, no block of the root is written"

# --- updates ---------------------------------------------------------------------------------------------------------------
bundle="$(run sh -c 'ls -d /bundle/*')"
update() { run doorlight update "$bundle" >"$work/log" 2>&1 || { cat "$work/log"; fail "doorlight update"; }; }
update
equal "the version on trial" "doorlight 99.0.0" "$(version)"
power_cut
boot
active "a power cut during a trial"
equal "the version after a power cut during its trial" "$old" "$(version)"
run doorlight update --status | grep -q "the box was restarted" || fail "--status does not say why"
run grep -q "of 99.0.0" /etc/systemd/system/doorlight.service && fail "the unit of the new version is there"
run test ! -e /etc/systemd/system/doorlight-extra.service || fail "a unit of the new version is there"
ok "a power cut during a trial: the version before is back at the next boot, with its units"
update
tries=0
while run test -e /opt/doorlight/update/trial.json; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { run doorlight update --status; fail "the new version is not kept"; }
    sleep 3
done
for boots in 1 2; do
    no_root_writes "an update"
    power_cut
    boot
    active "an update that was kept"
    equal "the version after boot $boots" "doorlight 99.0.0" "$(version)"
    run grep -q "of 99.0.0" /etc/systemd/system/doorlight.service || fail "the unit of the kept version is gone after boot $boots"
    run systemctl cat doorlight | grep -q "of 99.0.0" || fail "systemd does not know the unit of the kept version"
    equal "units that systemd has to read again" no "$(run systemctl show -P NeedDaemonReload doorlight)"
done
run sh -c 'systemctl restart doorlight && systemctl is-active --quiet doorlight' || fail "a restart with the restored unit"
run systemctl enable doorlight-web.service 2>/dev/null
doctor_says "doorlight-web.service: enabled until the next boot only" || fail "doctor does not name the unit"
run systemctl disable doorlight-web.service 2>/dev/null
run doorlight update --rollback >"$work/log" 2>&1 || { cat "$work/log"; fail "--rollback"; }
power_cut
boot
active "--rollback"
equal "the version after --rollback and a boot" "$old" "$(version)"
run grep -q "of 99.0.0" /etc/systemd/system/doorlight.service && fail "the unit of the new version is there after --rollback and a boot"
ok "an update that is kept, and --rollback: program and units survive power cuts, no block of the root is written"
power_cut
equal "the blocks of the root" "$digest" "$(root_digest)"

# --- without the disk -----------------------------------------------------------------------------------------------------
boot no-data
run systemctl is-active --quiet doorlight && fail "the door runs without its disk"
run sh /etc/update-motd.d/98-doorlight | grep -q "THE DOOR IS OFF" || fail "the message of the day does not name the missing disk"
run /src/scripts/install.sh --read-write >"$work/log" 2>&1 && fail "--read-write without the disk"
grep -q "its disk is missing" "$work/log" || { cat "$work/log"; fail "--read-write without the disk"; }
off
ok "without the disk the door is off, and the box says so"

# --- back --------------------------------------------------------------------------------------------------------------------
boot
# Without the summary at the end of what doorlight events prints.
run doorlight events --json >"$work/events"
run /src/scripts/install.sh --read-write --without-start >"$work/log" 2>&1 || { cat "$work/log"; fail "--read-write"; }
off
boot no-data
equal "the root" ext4 "$(run findmnt -n -r -o FSTYPE /)"
active "--read-write"
equal "the version" "$old" "$(version)"
equal "settings" "$settings" "$(run cksum /etc/doorlight/doorlight.toml)"
run doorlight events --json | head -n "$(wc -l <"$work/events")" | cmp -s - "$work/events" || fail "the event log is not complete"
snapshot >"$work/after"
# The settings were changed, the door has gone on, and an update has left its state and the other version.
different="$(diff "$work/before" "$work/after" | grep '^[<>]' | grep -vE ' (etc/doorlight/doorlight\.toml|var/lib/doorlight/|opt/doorlight/(update|releases)/|etc/.*\.wants/\.)' || true)"
[ -z "$different" ] || fail "not as before: $different"
off
left="$(debugfs -R 'ls -p /' "$work/data.img" 2>/dev/null | grep -c '/\(etc\|opt\|var\)/' || true)"
equal "folders that are left on the disk" 0 "$left"
ok "--read-write: the system is as before, and nothing is left on the disk"
echo "passed"
