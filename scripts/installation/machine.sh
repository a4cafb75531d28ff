# shellcheck shell=sh
# The machine: whether Doorlight can be installed on it; user, groups and devices. Sourced by scripts/install.sh, after common.sh.

check_machine() {
    for tool in apt-get systemctl; do
        command -v "$tool" >/dev/null 2>&1 ||
            die 69 "this script needs Raspberry Pi OS or Debian with systemd; this machine has no $tool" \
                "on other systems: pip install . and write a service like systemd/doorlight.service"
    done
    # Debian testing has no version number.
    debian="$(sed -n 's/^VERSION_ID="\{0,1\}\([0-9]*\).*/\1/p' /etc/os-release)"
    [ "${debian:-99}" -ge 12 ] || die 69 "this system is older than Debian 12 (Bookworm); Doorlight needs Python 3.11 or later" \
        "write Raspberry Pi OS Lite (64-bit) to the SD card with Raspberry Pi Imager"
    if [ "$(getconf LONG_BIT)" = 32 ]; then
        [ "$(uname -m)" != aarch64 ] ||
            die 69 "this is a 32-bit system under a 64-bit kernel, and pip would choose packages for 64 bits" \
                "install Raspberry Pi OS (64-bit), or add arm_64bit=0 to /boot/firmware/config.txt and reboot"
        [ "${debian:-99}" = 12 ] || die 69 "on 32-bit systems, TFLite has packages for Debian 12 (Bookworm) only" "install Raspberry Pi OS (64-bit)"
    fi
    case "$(uname -m)" in
    x86_64 | aarch64 | armv7l) ;;
    *) die 69 "there are no TFLite packages for this processor ($(uname -m))" ;;
    esac
    where=/opt
    # With a read-only root it is on another disk.
    [ ! -d "$OPT" ] || where="$OPT"
    free_mb="$(df -Pm "$where" 2>/dev/null | awk 'NR == 2 { print $4 }')"
    # The program needs about 250 MB; during an upgrade the old program needs the same again.
    [ "${free_mb:-0}" -ge 600 ] || die 69 "only ${free_mb:-0} MB are free on the disk of /opt; the installation needs 600 MB"
}

is_raspberry_pi() { grep -qs "Raspberry Pi" /proc/device-tree/model; }

user_and_devices() {
    step "User, groups, devices"
    put systemd/doorlight.sysusers /etc/sysusers.d/doorlight.conf
    put systemd/doorlight.tmpfiles /etc/tmpfiles.d/doorlight.conf
    put systemd/doorlight.modules /etc/modules-load.d/doorlight.conf
    put systemd/60-doorlight.rules /etc/udev/rules.d/60-doorlight.rules
    act systemd-sysusers doorlight.conf
    act systemd-tmpfiles --create doorlight.conf
    # Apply the rules to devices that are already plugged in. In a chroot or during an image build, udev does not run.
    if [ -e /run/udev/control ]; then
        act udevadm control --reload
        act udevadm trigger --subsystem-match=usb --subsystem-match=gpio --subsystem-match=dma_heap
    fi
}
