# shellcheck shell=sh disable=SC2154
# Make the root read-only and writable again: scripts/install.sh --read-only and --read-write, which sources this file and has its
# other variables.
#
# The Debian package overlayroot lays a file system in memory over the root at each boot, so nothing is written to the root. The
# folders that must survive a boot are moved to a disk of their own, which is mounted at $DATA. Bind mounts in /etc/fstab show them
# at their usual places. Each step first checks whether it is done, so a power cut is harmless: the door starts at every point, and
# the next run completes the change.

DATA=/media/doorlight
# Where overlayroot mounts the root itself.
LOWER=/media/root-ro
FSTAB=/etc/fstab
OS_RELEASE=/etc/os-release
RPI_ISSUE=/etc/rpi-issue
CMDLINE=/proc/cmdline
# The initramfs makes this folder.
INITRAMFS=/run/initramfs
# Where the root without what is mounted on it is seen. Not in $scratch, which is removed with everything in it.
BARE_ROOT=/run/doorlight-root
OVERLAY_CONF=/etc/overlayroot.local.conf
MOTD=/etc/update-motd.d/98-doorlight
APT_HOOK=/etc/apt/apt.conf.d/98doorlight
REMOUNT=/etc/systemd/system/systemd-remount-fs.service.d/doorlight.conf
RESTORE=/usr/local/lib/doorlight/restore-units
UNITS_UNIT=/etc/systemd/system/doorlight-units.service
# No slashes: they are in patterns of sed.
FSTAB_BEGIN="# begin: folders of Doorlight on a disk of their own, see install.sh --read-only"
FSTAB_END="# end: folders of Doorlight on a disk of their own"
# Before the line of a disk whose folders are on the root again. What the disk still has of them is to be deleted.
FSTAB_LEFT="# left on a disk of Doorlight, see install.sh --read-write:"
# In the folder of the data, while folders are being moved to it.
MOVING=moving
PAGE='see "A read-only root" in systemd/README.md'
# The next update needs room for a bundle and a program beside the running one, and the log has to grow.
UPDATE_MB=900

# Whether overlayroot has made the root that is seen. A container has another overlay.
is_overlay() { [ "$(findmnt -n -o SOURCE /)" = overlayroot ]; }
has_fstab_lines() { grep -qsF "$FSTAB_BEGIN" "$FSTAB"; }
has_left() { grep -qsF "$FSTAB_LEFT" "$FSTAB"; }
is_disk() { [ -b "$1" ]; }
is_readable() { [ -r "$1" ]; }
is_mounted() { findmnt -n --mountpoint "$1" >/dev/null 2>&1; }
running_units() { systemctl list-units --plain --no-legend --state=active,activating 'doorlight*.service' 'doorlight*.timer' | cut -d ' ' -f 1; }

# Print the folders that must survive a boot. The clock of a box without a battery goes on from the time in timesync.
folders() {
    for folder in "$ETC" "$OPT" "$STATE" "$STATE"-* /var/lib/systemd/timesync; do
        if [ -d "$folder" ]; then printf '%s\n' "$folder"; fi
    done
}

# The folders that /etc/fstab mounts from the disk.
moved_folders() { sed -n "/^$FSTAB_BEGIN/,/^$FSTAB_END/s|^$DATA\(/[^ ]*\) .*|\1|p" "$1"; }

# Unmounted ext4 partitions, for the hint.
candidates() { lsblk -nrpo NAME,FSTYPE,MOUNTPOINT 2>/dev/null | awk '$2 == "ext4" && $3 == "" { printf " %s", $1 }'; }

check_read_only() {
    if [ "$(findmnt -n -o FSTYPE /)" = overlay ]; then
        has_fstab_lines || die 69 "the root is an overlay already, but not by this script: changes are lost at the next boot" \
            "switch that overlay off first: sudo raspi-config nonint disable_overlayfs && sudo reboot"
        say "the root is read-only already; the data is on $(findmnt -n -o SOURCE "$DATA" || echo "a disk that is missing")"
        exit 0
    fi
    ! has_left || die 69 "an interrupted --read-write has left data on a disk" "first: sudo scripts/install.sh --read-write"
    [ -n "$data" ] || die 2 "--read-only needs --data DEVICE: the disk for event log, settings and updates" \
        "a partition of the card or a USB stick, with the file system ext4:$(candidates)" "$PAGE"
    check_system
    [ -e "$OPT/current/bin/doorlight" ] || die 69 "Doorlight is not installed" "first: sudo scripts/install.sh"
    [ ! -e "$OPT/update/trial.json" ] || die 69 "a new version is on trial" "wait until it is kept: doorlight update --status"
    case " $(tr '\n' ' ' <"$CMDLINE")" in
    *" rw "*) die 69 "the kernel's command line has rw: the root would be mounted writable below the overlay" \
        "remove rw from /boot/firmware/cmdline.txt, or from the settings of the boot loader, and reboot" ;;
    *" overlayroot="*) die 69 "the kernel's command line has overlayroot=, which overrides $OVERLAY_CONF" "remove it, and reboot" ;;
    esac
    [ -d "$INITRAMFS" ] || die 69 "this system was started without an initramfs, which makes the overlay" \
        "on a Raspberry Pi: auto_initramfs=1 in /boot/firmware/config.txt; then reboot"
    grep -qw overlay /proc/filesystems || modprobe -q overlay || die 69 "this kernel has no file system overlay"
    check_device
}

# Only systems that it was shown on, see scripts/checks/README.md.
check_system() {
    name="$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\).*/\1/p' "$OS_RELEASE")"
    if grep -qx 'ID=debian' "$OS_RELEASE" && grep -qxE 'VERSION_ID="?13"?' "$OS_RELEASE" && [ ! -e "$RPI_ISSUE" ]; then return 0; fi
    if [ -e "$RPI_ISSUE" ]; then name="Raspberry Pi OS"; fi
    [ -n "$untested" ] || die 69 "--read-only was shown on Debian 13 only, not on this system (${name:-unknown})" \
        "to try it on a copy of the card: add --untested. It needs apt's overlayroot and initramfs-tools"
    say "$name: not tested here, as you asked"
}

# Find the device of --data, and refuse one that cannot be used.
check_device() {
    [ ! -f "$data" ] || die 69 "--data: $data is a file. Writing to it would write to the disk that it is on" \
        "name a partition or a USB stick; $PAGE"
    case "$data" in
    UUID=* | PARTUUID=* | LABEL=* | PARTLABEL=*) device="$(findfs "$data" 2>/dev/null)" ||
        die 69 "--data: $data: there is no such disk" "found:$(candidates)" ;;
    *) device="$(realpath -m -- "$data")" ;;
    esac
    is_disk "$device" || die 69 "--data: $data: there is no such disk" "found:$(candidates)"
    # blkid would find nothing on it, and mkfs is no advice for a disk that has something.
    is_readable "$device" || die 77 "--data: $data can be read by root only" "sudo scripts/install.sh, with the same options"
    root_device="$(realpath -m -- "$(findmnt -n -v -o SOURCE /)")"
    [ "$device" != "$root_device" ] || die 69 "--data: $data is the root itself" "name another partition; $PAGE"
    where="$(findmnt -n -o TARGET --source "$device" | grep -vxE "$DATA|$ETC|$OPT|$STATE(-[^/]*)?|/var/lib/systemd/timesync" | head -n 1)"
    [ -z "$where" ] || die 69 "--data: $data is in use at $where" "sudo umount $where"
    if [ "$(lsblk -nro NAME "$device" | wc -l)" -gt 1 ] || [ -n "$(blkid -p -s PTTYPE -o value "$device")" ]; then
        die 69 "--data: $data is a whole disk with partitions" "name one of its partitions:$(candidates)"
    fi
    kind="$(blkid -p -s TYPE -o value "$device" || true)"
    [ "$kind" = ext4 ] || die 69 "--data: $data has ${kind:-no file system}; it needs ext4" \
        "if nothing on it is needed: sudo mkfs.ext4 -L doorlight $device"
    uuid="$(blkid -p -s UUID -o value "$device")"
    if has_fstab_lines && ! grep -q "^UUID=$uuid $DATA " "$FSTAB"; then
        die 69 "--data: $data: an interrupted change to another disk has to be completed first" "name the disk of $DATA in $FSTAB"
    fi
}

overlay_package() {
    step "overlayroot"
    if ! installed overlayroot; then
        if ! known overlayroot; then act apt-get -q update || true; fi
        [ -n "$dry" ] || known overlayroot || die 69 "this system has no package overlayroot" "sudo apt update"
        DEBIAN_FRONTEND=noninteractive act apt-get -q install -y --no-install-recommends overlayroot initramfs-tools busybox ||
            die 69 "could not install the Debian package overlayroot" "check the network, then run this script again"
    fi
    initramfs="/boot/initrd.img-$(uname -r)"
    if [ -n "$dry" ]; then
        say "would make sure that $initramfs has overlayroot"
        return
    fi
    lsinitramfs "$initramfs" 2>/dev/null | grep -q scripts/init-bottom/overlayroot || update-initramfs -u ||
        die 69 "$initramfs: could not be made" "sudo update-initramfs -u"
    lsinitramfs "$initramfs" 2>/dev/null | grep -q scripts/init-bottom/overlayroot ||
        die 69 "$initramfs: has no overlayroot" "sudo update-initramfs -c -k $(uname -r)"
}

# Mount the disk, and refuse one that is too small or has the data of another door.
mount_data() {
    step "The data on $device"
    act mkdir -p "$DATA"
    if ! is_mounted "$DATA"; then act mount -o noatime "UUID=$uuid" "$DATA" || die 69 "$device: cannot be mounted" "sudo dmesg | tail"; fi
    if [ -n "$dry" ] || has_fstab_lines; then return 0; fi
    if [ ! -e "$DATA/$MOVING" ]; then
        for folder in $(folders); do
            if [ -e "$DATA$folder" ]; then
                umount "$DATA"
                die 69 "$device: has files of a door already ($folder)" "if they are not needed, delete them: sudo mkfs.ext4 -L doorlight $device"
            fi
        done
    fi
    # shellcheck disable=SC2046  # a list of folders
    need_mb=$(($(du -smc $(folders) | tail -n 1 | cut -f 1) + UPDATE_MB))
    free_mb="$(df -Pm "$DATA" | awk 'NR == 2 { print $4 }')"
    if [ -e "$DATA/$MOVING" ]; then free_mb=$((free_mb + need_mb)); fi
    if [ "$free_mb" -lt "$need_mb" ]; then
        umount "$DATA"
        die 69 "$device: $free_mb MB are free; the program, its next update and the log need $need_mb MB" "use a larger partition or stick"
    fi
}

# Copy the folders to the disk, and mount them from there. Returns 1 after a failure; the root is then as before.
copy_folders() {
    has_fstab_lines && return 0
    : >"$DATA/$MOVING" && sync -f "$DATA" || return 1
    lines="$FSTAB_BEGIN
UUID=$uuid $DATA ext4 noatime,nofail,x-systemd.device-timeout=30s 0 2"
    mkdir -p "$LINK_STATE"
    for folder in $(folders); do
        # On a disk of its own, it stays there.
        if is_mounted "$folder"; then continue; fi
        say "copying $folder …"
        rm -rf "${DATA:?}$folder"
        mkdir -p "$DATA$folder" && cp -a "$folder/." "$DATA$folder/" || return 1
        lines="$lines
$DATA$folder $folder none bind,nofail,x-systemd.requires-mounts-for=$DATA 0 0"
    done
    mkdir -p "$DATA$OPT/system" && sync -f "$DATA" || return 1
    # sed ends the last line, if an editor has not.
    # shellcheck disable=SC1003
    { [ ! -e "$FSTAB" ] || sed '$a\' "$FSTAB"; printf '%s\n%s\n' "$lines" "$FSTAB_END"; } >"$FSTAB.new" || return 1
    use_new_fstab "$FSTAB"
}

# Mount what /etc/fstab has, then remove the folders' files from the root: a copy there would outlive what is deleted later, and
# might start an old door if the disk is missing.
use_folders() {
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
    for folder in $(moved_folders "$FSTAB"); do
        is_mounted "$folder" || mount "$folder" || die 69 "$folder: cannot be mounted from $device" "sudo dmesg | tail"
    done
    open_root
    for folder in $(moved_folders "$FSTAB"); do empty_on_root "$folder"; done
    close_root
    sync
}

machinery() {
    step "Read-only root"
    mkdir -p "$OPT/system"
    keep_units
    mkdir -p "${RESTORE%/*}"
    put systemd/restore-units.sh "$RESTORE"
    chmod 755 "$RESTORE"
    put systemd/doorlight-units.service "$UNITS_UNIT"
    systemctl --quiet enable doorlight-units.service
    cat >"$scratch/motd" <<'MOTD'
#!/bin/sh
# Of Doorlight, scripts/install.sh --read-only.
findmnt -n -t overlay / >/dev/null || exit 0
echo "The root of this box is read-only (Doorlight): what you change outside of Doorlight's folders is lost at the next boot,"
echo "and apt is refused. To change the system: sudo overlayroot-chroot. To end this: sudo scripts/install.sh --read-write"
findmnt -n --mountpoint /media/doorlight >/dev/null ||
    echo "THE DOOR IS OFF: the disk of its program and its log is missing. Plug it in, then: sudo reboot"
MOTD
    put "$scratch/motd" "$MOTD"
    chmod 755 "$MOTD"
    cat >"$scratch/apt" <<'APT'
// Of Doorlight, scripts/install.sh --read-only: packages would be lost at the next boot.
DPkg::Pre-Invoke { "findmnt -n -t overlay / >/dev/null || exit 0; echo 'doorlight: the root is read-only: this package would be lost at the next boot' >&2; echo '           sudo overlayroot-chroot apt-get …, then sudo reboot' >&2; exit 1"; };
APT
    put "$scratch/apt" "$APT_HOOK"
    cat >"$scratch/remount" <<'REMOUNT'
# Of Doorlight, scripts/install.sh --read-only. With ro on the kernel's command line, as Debian has it, overlayroot makes the overlay
# read-only, too. systemd cannot change that: overlayroot's line in /etc/fstab has options that are refused after the mount.
[Service]
ExecStart=
ExecStart=/bin/sh -c 'if findmnt -n -t overlay / >/dev/null; then exec mount -o remount,rw overlayroot /; else exec /usr/lib/systemd/systemd-remount-fs; fi'
REMOUNT
    put "$scratch/remount" "$REMOUNT"
    printf '%s\n' 'overlayroot="tmpfs:recurse=0"' >"$scratch/overlayroot"
    sync
    # The last step: with it, the next boot has the overlay.
    put "$scratch/overlayroot" "$OVERLAY_CONF"
    sync
    rm -f "$DATA/$MOVING"
}

stop_units() {
    if [ -d /run/systemd/system ]; then
        units="$(running_units | grep -v '^doorlight-units')" || units=""
        # shellcheck disable=SC2086  # a list of units
        [ -z "$units" ] || systemctl stop $units
    fi
}

restart_box() {
    if [ -n "$without_start" ] || [ ! -d /run/systemd/system ]; then
        say "restart the box to complete it: sudo reboot. Until then the door is stopped"
    else
        say "the box restarts now"
        systemctl reboot
    fi
}

read_only() {
    check_read_only
    overlay_package
    mount_data
    if [ -n "$dry" ]; then
        say "would stop the door, and move these folders to $device:"
        folders
        say "would write $FSTAB, $OVERLAY_CONF, $UNITS_UNIT, $MOTD and $APT_HOOK, and restart the box"
        return
    fi
    stop_units
    if ! copy_folders; then
        # shellcheck disable=SC2086
        [ -z "${units:-}" ] || systemctl start $units || true
        die 74 "$device: the folders could not be copied, see the lines above; nothing is changed" "sudo dmesg | tail"
    fi
    use_folders
    machinery
    say "the root is read-only from the next boot on; the data is on $device"
    restart_box
}

# Bring the root's file system within reach: below the overlay, or below the folders that are mounted over it.
open_root() {
    root="$LOWER"
    if is_overlay; then
        mount -o remount,rw "$LOWER" || die 69 "$LOWER: cannot be made writable" "sudo dmesg | tail"
    else
        root="$BARE_ROOT"
        mkdir -p "$root"
        # Private: otherwise what is mounted later at / is seen here, too.
        is_mounted "$root" || { mount --bind / "$root" && mount --make-private "$root"; }
    fi
}

# Print [people] file of the settings; nothing if it is not set, or if the settings cannot be read.
people_file() {
    "$PYTHON" -c 'import sys, tomllib
print(tomllib.loads(open(sys.argv[1], encoding="utf-8-sig").read()).get("people", {}).get("file", ""))' "$ETC/doorlight.toml" 2>/dev/null || true
}

# Overwrite the store of enrolled people, its key and the secrets of people sync in a folder that is about to be deleted: doorlight
# people remove reaches only the files in use, and what is left of both here could be read together.
overwrite_people() {
    store="$(people_file)"
    # As a pattern of find.
    name="$(printf '%s' "${store##*/}" | sed 's/[][*?\\]/\\&/g')"
    name="${name:-people.db}"
    find "$1" -xdev -type f \( -name "$name" -o -name "$name.new" -o -name people.db -o -name people.db.new -o -name people.key -o \
        -name people.key.new -o -name people.passphrase -o -path '*/people-sync/*' \) -exec shred -n 0 -z {} + 2>/dev/null || true
}

# Whether a file has the application id of SQLite that edge/people/store.py sets.
is_people_store() { [ -f "$1" ] && [ "$(od -A n -t x1 -j 68 -N 4 "$1" 2>/dev/null | tr -d ' ')" = 446f6f72 ]; }

# Print the store of enrolled people, if [people] file names one outside of the folders of Doorlight.
people_elsewhere() {
    store="$(people_file)"
    case "$store" in
    # Links and .. may lead out of a folder of Doorlight.
    /*) store="$(realpath -m -- "${store%/*}/")/${store##*/}" ;;
    *) return 0 ;;
    esac
    case "$store" in
    "$(realpath -m -- "$STATE")"/* | "$(realpath -m -- "$ETC")"/*) ;;
    *) if is_people_store "$store"; then printf '%s\n' "$store"; fi ;;
    esac
}

# Overwrite and delete such a store, with what lies beside it. Nothing else has these names, see edge/enrolled_paths.py. A link is
# not followed: whoever may write in the folder could let it lead to any file. The door reads people through a link, though.
delete_people() {
    beside="${1%/*}"
    for file in "$1" "$1.new" "$beside/people.key" "$beside/people.key.new" "$beside/people.lock"; do
        if [ -L "$file" ]; then
            say "$file: is a link; if $(readlink -m -- "$file") has enrolled people, delete it"
        elif [ -f "$file" ]; then
            shred -n 0 -z "$file" 2>/dev/null || true
            rm -f "$file"
        fi
    done
}

# Remove what the root itself has in a folder; never what is mounted there.
empty_on_root() {
    if [ "$root$1" -ef "$1" ] || [ "$root$1" -ef "$DATA$1" ]; then die 69 "$root$1: is not the root's own folder; nothing is removed"; fi
    overwrite_people "$root$1"
    find "$root$1" -xdev -mindepth 1 -delete
}

close_root() {
    if is_overlay; then mount -o remount,ro "$LOWER" || say "$LOWER stays writable until the next boot"; else
        # Lazy: services with their own view of the mounts may still hold it.
        umount -l "$root"
    fi
}

read_write() {
    if ! has_fstab_lines; then
        if is_overlay; then die 69 "the root is an overlay, but not by this script" "sudo raspi-config nonint disable_overlayfs && sudo reboot"; fi
        say "the root is writable already"
        complete_read_write
        return
    fi
    [ ! -e "$OPT/update/trial.json" ] || die 69 "a new version is on trial" "wait until it is kept: doorlight update --status"
    moved="$(moved_folders "$FSTAB")"
    for folder in $moved; do
        is_mounted "$folder" || die 69 "$folder: its disk is missing, so it cannot be moved back" "plug the disk in and reboot; if it is lost, $PAGE"
    done
    if [ -n "$dry" ]; then
        say "would stop the door, move these folders back to the root, and restart the box:" "$moved"
        return
    fi
    open_root
    # shellcheck disable=SC2086  # a list of folders
    need_mb=$(($(du -smc $moved | tail -n 1 | cut -f 1) + 50))
    free_mb="$(df -Pm "$root" | awk 'NR == 2 { print $4 }')"
    if [ "$free_mb" -lt "$need_mb" ]; then
        close_root
        die 69 "the root: $free_mb MB are free; the folders need $need_mb MB" "sudo overlayroot-chroot apt-get clean"
    fi
    stop_units
    if ! move_back; then
        # shellcheck disable=SC2086
        [ -z "${units:-}" ] || systemctl start $units || true
        close_root
        die 74 "the folders could not be moved back, see the lines above; the root stays read-only" "sudo dmesg | tail"
    fi
    # Only now: nothing refers to these copies any more.
    delete_left "$moved"
    close_root
    say "the root is writable from the next boot on; the folders are on it again"
    restart_box
}

# Delete folders on the disk, which are on the root again, and forget the disk.
delete_left() {
    for folder in $1; do
        if [ -d "$DATA$folder" ]; then
            overwrite_people "$DATA$folder"
            find "$DATA$folder" -xdev -mindepth 1 -delete || true
        fi
    done
    for folder in $1; do
        umount "$folder" 2>/dev/null || true
        rm -rf "${DATA:?}$folder"
        parent="${folder#/}"
        (cd "$DATA" && rmdir -p "${parent%/*}" 2>/dev/null) || true
    done
    sync
    put_fstab "/^$FSTAB_LEFT/,+1{ /^$FSTAB_LEFT/d; \\| $DATA ext4 |d; }" || say "$FSTAB: the line of $DATA could not be removed"
}

# After a power cut: the folders are on the root, but the disk may have them, too.
complete_read_write() {
    has_left || return 0
    left="$(sed -n "s|^$FSTAB_LEFT||p" "$FSTAB")"
    if [ -n "$dry" ]; then
        say "would delete what is left on the disk of $DATA:$left"
        return
    fi
    if ! grep -q " $DATA ext4 " "$FSTAB"; then
        # As the hint below says.
        root=""
        put_fstab "/^$FSTAB_LEFT/d"
        say "the disk of $DATA is forgotten"
        return
    fi
    is_mounted "$DATA" || mount "$DATA" ||
        die 69 "$DATA: its disk has data of this door, and cannot be mounted" "plug it in; if it is lost, remove the line of $DATA from $FSTAB"
    root=""
    delete_left "$left"
    umount "$DATA" || true
    say "what was left on the disk of $DATA is deleted"
}

# Change the root's list of mounts by a script of sed.
put_fstab() {
    sed "$1" "$root$FSTAB" >"$root$FSTAB.new" || return 1
    use_new_fstab "$root$FSTAB"
}

# Put FILE.new in the place of FILE, a list of mounts, which is never incomplete.
use_new_fstab() {
    chmod 644 "$1.new" && sync "$1.new" && mv -f "$1.new" "$1" && sync
}

# Copy the folders and the units to the root, then switch the overlay off. Returns 1 after a failure; the disk is still in use then.
move_back() {
    for folder in $moved; do
        say "copying $folder …"
        mkdir -p "$root$folder"
        empty_on_root "$folder" && cp -a "$folder/." "$root$folder/" || return 1
    done
    rm -rf "$root$OPT/system"
    # Units that an update has written are in memory only.
    for file in $(managed_files); do
        if cmp -s "/$file" "$root/$file"; then continue; fi
        mkdir -p "$root/${file%/*}"
        cp -p "/$file" "$root/$file.new" && mv -f "$root/$file.new" "$root/$file" || return 1
    done
    for wanted in /etc/systemd/system/*.wants/doorlight*; do
        if [ -L "$wanted" ] && [ ! -e "$root$wanted" ]; then cp -P "$wanted" "$root$wanted" || return 1; fi
    done
    systemd-sysusers --root="$root" doorlight.conf >/dev/null 2>&1 || true
    sync
    # The overlay first: with it and without the disk, the log would be in memory.
    rm -f "$root$OVERLAY_CONF"
    sync
    # The line of the disk stays until its copies are deleted.
    # shellcheck disable=SC2086  # a list of folders
    put_fstab "/^$FSTAB_BEGIN/,/^$FSTAB_END/{
        \\| $DATA ext4 |!d
        i $FSTAB_LEFT $(printf '%s ' $moved)
    }" || return 1
    rm -f "$root$UNITS_UNIT" "$root/etc/systemd/system/multi-user.target.wants/doorlight-units.service" "$root$MOTD" "$root$APT_HOOK"
    rm -rf "$root${RESTORE%/*}"
    rm -f "$root$REMOUNT"
    rmdir "$root${REMOUNT%/*}" 2>/dev/null || true
    sync
}
