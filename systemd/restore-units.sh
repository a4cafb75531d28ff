#!/bin/sh
# With a read-only root, what an update has written below /etc is gone after a boot. doorlight-units.service runs this before the
# door starts: it puts the units and the like of the installed version in their places again, from the copies that
# scripts/install.sh and doorlight update keep in /opt/doorlight/system.
set -eu
kept=/opt/doorlight/system
changed="" new=""
for copy in $(find "$kept/etc" -type f | sort); do
    file="${copy#"$kept"}"
    cmp -s "$copy" "$file" && continue
    [ -e "$file" ] || new="$new ${file##*/}"
    mkdir -p "${file%/*}"
    install -m 0644 "$copy" "$file.new"
    mv -f "$file.new" "$file"
    changed=yes
done
[ -n "$changed" ] || exit 0
# Whatever fails here, systemd has to read the units again.
systemd-sysusers doorlight.conf || true
systemd-tmpfiles --create doorlight.conf || true
udevadm control --reload && udevadm trigger --subsystem-match=usb --subsystem-match=gpio --subsystem-match=dma_heap || true
systemctl daemon-reload
# A unit that the root does not have is not enabled there either. Without waiting: this unit comes before the others.
for unit in $new; do
    if grep -qxF "$unit" "$kept/enabled"; then systemctl --quiet --no-block enable --now "$unit"; fi
done
