# shellcheck shell=sh disable=SC2153,SC2154
# The units: install, enable and start them, or go back to the version before. Sourced by scripts/install.sh, after common.sh. It
# needs $dry, $scratch, $switch and $without_start (options), and $release of the step `program`.

# The files outside of /opt and of the settings that belong to a version, as in edge/update/layout.py. Without the leading slash.
managed_files() {
    for file in /etc/systemd/system/doorlight*.service /etc/systemd/system/doorlight*.timer "$DROP_INS/restart-backoff.conf" \
        /etc/sysusers.d/doorlight.conf /etc/tmpfiles.d/doorlight.conf /etc/modules-load.d/doorlight.conf \
        /etc/udev/rules.d/60-doorlight.rules; do
        if [ -f "$file" ] && [ ! -L "$file" ]; then printf '%s\n' "${file#/}"; fi
    done
}

# With a read-only root, these files are in memory. Keep copies of them, and the names of the enabled units, for
# systemd/restore-units.sh, which puts them in their places at boot.
keep_units() {
    if [ -n "$dry" ] || [ ! -d "$OPT/system" ]; then return 0; fi
    for file in $(managed_files); do put "/$file" "$OPT/system/$file" >/dev/null; done
    find "$OPT/system/etc" -type f | while read -r kept; do
        [ -f "${kept#"$OPT/system"}" ] || rm "$kept"
    done
    find /etc/systemd/system -path '*.wants/doorlight*' -printf '%f\n' | sort >"$scratch/enabled"
    put "$scratch/enabled" "$OPT/system/enabled" >/dev/null
}

service() {
    step "Service"
    # The program and the unit of a door that runs: they are restored if the new one does not start.
    before=""
    if [ -z "$dry$without_start" ] && [ -e "$UNIT" ] && systemctl --quiet is-active doorlight.service 2>/dev/null; then
        before="$(readlink "$OPT/current")"
        cp "$UNIT" "$scratch/unit"
    fi
    if [ -n "$dry" ]; then
        say "would link $OPT/current to the new program"
    else
        link "$release" "$OPT/current"
    fi
    link "$OPT/current/bin/doorlight" "$LINK"
    put systemd/doorlight.service "$UNIT"
    # Not enabled: page, link and people sync are off until somebody wants them.
    put systemd/doorlight-web.service "$WEB_UNIT"
    put systemd/doorlight-link.service "$LINK_UNIT"
    for unit in doorlight-people.service doorlight-people.timer; do put "systemd/$unit" "$(dirname "$UNIT")/$unit"; done
    # This installation replaces a version that doorlight update has on trial. It would otherwise be taken back.
    # What the last check of updates found may be older than this version.
    [ -n "$dry$switch" ] || rm -f "$OPT/update/trial.json" "$OPT/update/latest-version"
    version="$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
    if [ "${version:-0}" -ge 254 ]; then
        for unit in doorlight-steady.service doorlight-steady.timer; do
            put "systemd/$unit" "$(dirname "$UNIT")/$unit"
        done
        put systemd/restart-backoff.conf "$DROP_INS/restart-backoff.conf"
    fi
    act systemctl --quiet enable doorlight.service
    keep_units
    [ -n "$dry" ] || sync
    if [ ! -d /run/systemd/system ]; then
        say "systemd is not running (in a chroot or an image): the service starts at the next boot"
        return
    fi
    act systemctl daemon-reload
    if [ -n "$without_start" ]; then
        say "not started (--without-start); start this version with: sudo systemctl restart doorlight"
        return
    fi
    # Returns when the door has processed its first picture.
    if ! act systemctl restart doorlight.service; then
        # The door's messages, without those of systemd.
        messages="$(journalctl _SYSTEMD_UNIT=doorlight.service -n 5 -o cat --no-pager || true)"
        if [ -z "$before" ] || [ "$before" = "$release" ]; then
            die 69 "installed, but the door does not start. Its messages:" "$messages"
        fi
        go_back ||
            die 69 "neither the new version nor the restored previous version starts. Messages of the new version:" "$messages"
        die 69 "the new version does not start; the previous version runs again. Messages of the new version:" "$messages"
    fi
    # Only if they run. The door is what matters: a page that does not start is no reason to go back.
    act systemctl try-restart doorlight-web.service || say "the page does not start: journalctl -u doorlight-web"
    act systemctl try-restart doorlight-link.service || say "the link does not start: journalctl -u doorlight-link"
    [ -n "$dry" ] || say "the service runs"
}

# Restore the previous program, unit and defaults. Fails if they do not start either. Files outside of these (udev rules, user,
# folders, kernel modules, the drop-in) stay as the new version wrote them.
go_back() {
    say "the new version does not start; restoring $before"
    link "$before" "$OPT/current"
    put "$scratch/unit" "$UNIT"
    keep_units
    if "$before/bin/doorlight" check-config >"$scratch/defaults.toml"; then put "$scratch/defaults.toml" "$ETC/defaults.toml"; fi
    systemctl daemon-reload
    systemctl restart doorlight.service
}

# The nightly timer of the statistics. After the service: if the new version does not start, the old one has perhaps no such
# command.
hours_timer() {
    step "Statistics"
    units="$(dirname "$UNIT")"
    put systemd/doorlight-hours.service "$units/doorlight-hours.service"
    put systemd/doorlight-hours.timer "$units/doorlight-hours.timer"
    act systemctl --quiet enable doorlight-hours.timer
    [ -d /run/systemd/system ] || return 0
    act systemctl daemon-reload
    act systemctl restart doorlight-hours.timer
    [ -n "$dry" ] || say "doorlight-hours.timer keeps the hours of the event log every night"
}

# What looks after an update, and the nightly update, which is off until somebody wants it.
update_units() {
    step "Updates"
    units="$(dirname "$UNIT")"
    for unit in doorlight-trial.service doorlight-trial.timer doorlight-update.service doorlight-update.timer; do
        put "systemd/$unit" "$units/$unit"
    done
    act systemctl --quiet enable doorlight-trial.service doorlight-trial.timer
    keep_units
    [ -d /run/systemd/system ] || return 0
    act systemctl daemon-reload
}

doctor() {
    [ -z "$dry" ] || return 0
    step "doorlight doctor"
    "$LINK" doctor ||
        say "Doorlight is installed, but the doctor found problems; see its hints above. To check again: sudo doorlight doctor"
}
