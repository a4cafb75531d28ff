# shellcheck shell=sh disable=SC2153,SC2154
# Whether the root can be made read-only: the system and the disk of --data. Sourced by scripts/install.sh, after common.sh, with
# named_files.sh and root.sh. It needs $data and $untested (options). The step `check_read_only` sets $device and $uuid, those of
# the disk.

is_disk() { [ -b "$1" ]; }
is_readable() { [ -r "$1" ]; }

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

# Name the files of the settings that stay on the root, as doorlight doctor does later.
name_files_on_root() {
    name_on_root people "new people are lost at power-off, and removed ones come back"
    name_on_root events "events that are written there are lost at power-off"
}

# name_on_root SECTION LOSS: name `file` of this section of the settings if it stays on the root, and what is lost.
name_on_root() {
    named="$(named_file "$1")"
    case "$named" in /*) ;; *) return 0 ;; esac
    place="$(realpath -m -- "$named")"
    for folder in $(folders); do
        case "$place" in "$(realpath -m -- "$folder")"/*) return 0 ;; esac
    done
    while [ ! -e "$place" ]; do place="$(dirname "$place")"; done
    [ "$(findmnt -n -o TARGET --target "$place")" = / ] || return 0
    say "$named, [$1] file: stays on the root: from the next boot on, $2"
    say "to avoid this, move it to $STATE: $PAGE"
}
