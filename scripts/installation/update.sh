# shellcheck shell=sh disable=SC2034,SC2154
# The two steps of doorlight update, --prepare and --switch. The program that runs and everything that belongs to it stay: the
# update may go back. Sourced by scripts/install.sh, with the files of all steps. It needs $scratch.

prepare() {
    check_machine
    apt_packages
    gpio_library
    program
    step "Settings"
    check_settings
    say "release: $release"
}

switch_to() {
    release="$1"
    [ -e "$release/.complete" ] || die 69 "$release: is no complete program"
    user_and_devices
    "$release/bin/doorlight" check-config >"$scratch/defaults.toml"
    put "$scratch/defaults.toml" "$ETC/defaults.toml"
    without_start=yes
    service
    hours_timer
    update_units
}
