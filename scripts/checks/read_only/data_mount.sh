#!/bin/sh
# A generator of systemd: the mount of Doorlight's disk in /etc/fstab, which systemd's own generator ignores in a container.
line="$(grep '^UUID=[^ ]* /media/doorlight ext4 ' /etc/fstab)" || exit 0
uuid="${line%% *}"
disk="$(blkid -U "${uuid#UUID=}" || echo /dev/missing)"
printf '[Mount]\nWhat=%s\nWhere=/media/doorlight\nType=ext4\nOptions=noatime\n' "$disk" >"$1/media-doorlight.mount"
