#!/bin/sh
# Run a command in a system (chroot) with /proc, /dev and /sys. Nothing stays mounted. As root.
#
# usage: enter.sh ROOT CHECKOUT COMMAND…      (the checkout is /checkout there, read-only; "-" for none)
set -eu
# shellcheck disable=SC2016  # the variables belong to the inner shell
exec unshare --mount --propagation private -- sh -eu -c '
    root="$1" checkout="$2"
    shift 2
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --rbind /sys "$root/sys"
    if [ "$checkout" != - ]; then
        mkdir -p "$root/checkout"
        mount --bind -o ro "$checkout" "$root/checkout"
    fi
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        chroot "$root" "$@"
' sh "$@"
