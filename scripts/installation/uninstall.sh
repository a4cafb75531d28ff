# shellcheck shell=sh disable=SC2153,SC2154
# Uninstall. Sourced by scripts/install.sh, after common.sh, with named_files.sh, people_files.sh and root.sh. It needs $dry.

# Stop the link, and remove the door from the broker and from Home Assistant. A broker that is away does not delay the
# uninstallation for long.
forget_link() {
    [ -e "$LINK_UNIT" ] || return 0
    [ ! -d /run/systemd/system ] || act systemctl stop doorlight-link.service
    act systemctl --quiet disable doorlight-link.service
    [ -e "$LINK_STATE/announced.json" ] || return 0
    act timeout 60 "$LINK" link --forget ||
        say "the broker still knows this door. From another machine: mosquitto_pub -r -n -t TOPIC, for each TOPIC in $(cat "$LINK_STATE/announced.json")"
}

uninstall() {
    if has_fstab_lines; then die 69 "the root is read-only" "first: sudo scripts/install.sh --read-write"; fi
    if has_left; then die 69 "a disk has data of this door" "first: sudo scripts/install.sh --read-write"; fi
    if [ -d /run/systemd/system ] && [ -e "$UNIT" ]; then
        act systemctl stop doorlight.service
    fi
    if [ -d /run/systemd/system ] && [ -e "$WEB_UNIT" ]; then
        act systemctl stop doorlight-web.service
    fi
    forget_link
    [ ! -e "$UNIT" ] || act systemctl --quiet disable doorlight.service
    [ ! -e "$WEB_UNIT" ] || act systemctl --quiet disable doorlight-web.service
    units="$(dirname "$UNIT")"
    if [ -e "$units/doorlight-hours.timer" ]; then
        [ ! -d /run/systemd/system ] || act systemctl stop doorlight-hours.timer
        act systemctl --quiet disable doorlight-hours.timer
    fi
    for unit in doorlight-steady.timer doorlight-people.timer doorlight-update.timer doorlight-trial.timer doorlight-trial.service; do
        [ -e "$units/$unit" ] || continue
        [ ! -d /run/systemd/system ] || act systemctl stop "$unit"
        act systemctl --quiet disable "$unit"
    done
    for path in "$units"/doorlight-steady.* "$units"/doorlight-people.* "$units"/doorlight-trial.* "$units"/doorlight-update.* "$UNIT" "$WEB_UNIT" "$LINK_UNIT" "$units/doorlight-hours.service" "$units/doorlight-hours.timer" "$DROP_INS" "$LINK" "$OPT" /etc/udev/rules.d/60-doorlight.rules \
        /etc/modules-load.d/doorlight.conf /etc/tmpfiles.d/doorlight.conf /etc/sysusers.d/doorlight.conf \
        /run/doorlight-trial-boot /run/doorlight-trial.json /var/lib/systemd/timers/stamp-doorlight-*.timer; do
        if [ -e "$path" ] || [ -L "$path" ]; then act rm -rf "$path"; fi
    done
    [ ! -d /run/systemd/system ] || act systemctl daemon-reload
    [ -n "$dry" ] || say "Doorlight is removed. Debian packages are kept: other programs may use them."
    [ -e "$STATE" ] || [ -e "$ETC" ] || return 0
    people="$(people_elsewhere)"
    log="$(named_elsewhere events)"
    [ ! -e "$log" ] || say "$log, [events] file: this event log and its rotated files are kept; delete them yourself if nobody needs them"
    if [ -n "$dry" ]; then
        say "would ask whether to delete event log and enrolled people ($STATE${people:+, $people}), and your settings ($ETC)"
        return
    fi
    printf 'Delete event log and enrolled people (%s), and your settings (%s), permanently? [y/N] ' "$STATE${people:+, $people}" "$ETC"
    answer=""
    read -r answer || say ""
    case "$answer" in
    y | Y | yes | YES)
        [ -z "$people" ] || delete_people "$people"
        delete_people "$STATE/people.db"
        overwrite_people "$STATE"
        overwrite_people "$ETC"
        rm -rf "$STATE" "$LINK_STATE" "$ETC"
        # The users last: their numeric ids may be reused, and must then not own files.
        if getent passwd doorlight-web >/dev/null; then userdel doorlight-web; fi
        if getent group doorlight-web >/dev/null; then groupdel doorlight-web; fi
        if getent passwd doorlight-link >/dev/null; then userdel doorlight-link; fi
        if getent group doorlight-link >/dev/null; then groupdel doorlight-link; fi
        if getent passwd doorlight >/dev/null; then userdel doorlight; fi
        if getent group doorlight >/dev/null; then groupdel doorlight; fi
        say "deleted"
        ;;
    *) say "kept: $STATE, $LINK_STATE, $ETC, and the users doorlight, doorlight-web and doorlight-link" ;;
    esac
}
