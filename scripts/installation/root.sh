# shellcheck shell=sh disable=SC2034
# What --read-only and --read-write share: the places, the state of the root, /etc/fstab, the root below what is mounted on it.
# Sourced by scripts/install.sh, after common.sh, with people_files.sh. It needs $without_start.
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

close_root() {
    if is_overlay; then mount -o remount,ro "$LOWER" || say "$LOWER stays writable until the next boot"; else
        # Lazy: services with their own view of the mounts may still hold it.
        umount -l "$root"
    fi
}

# Remove what the root itself has in a folder; never what is mounted there.
empty_on_root() {
    if [ "$root$1" -ef "$1" ] || [ "$root$1" -ef "$DATA$1" ]; then die 69 "$root$1: is not the root's own folder; nothing is removed"; fi
    overwrite_people "$root$1"
    find "$root$1" -xdev -mindepth 1 -delete
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
