# shellcheck shell=sh
# Make the root writable again. Sourced by scripts/install.sh, after common.sh, with service.sh, people_files.sh and root.sh. It
# needs $dry.

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
