# shellcheck shell=sh disable=SC2154
# Make the root read-only. Sourced by scripts/install.sh, after common.sh, with packages.sh, service.sh, root.sh and
# read_only_plan.sh. It needs $dry and $scratch.

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

read_only() {
    check_read_only
    overlay_package
    mount_data
    name_files_on_root
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
