# shellcheck shell=sh disable=SC2154
# The questions of a first installation, and the settings. Sourced by scripts/install.sh, after common.sh, with machine.sh. It needs
# $dry, $scratch, the answers of options ($camera, $expressions, $controller, $sign), and $release of the step `program`.

# Ask the questions of a first installation that no option has answered, if there is somebody to ask. Each answer may be empty.
# At the beginning: nobody waits for ten minutes to be asked.
questions() {
    if [ -e "$ETC/doorlight.toml" ] || ! [ -t 0 ] || [ -n "$dry" ]; then return 0; fi
    step "Three questions"
    say "Enter alone means no, or not known yet: then no expression of a face is read."
    if [ -z "$expressions" ]; then
        say "The European Union prohibits emotion inference at work and in education: at a door that staff pass, the answer is no."
        printf 'May expressions of faces be read here? [y/N] '
        read -r expressions || say ""
    fi
    if [ -z "$controller" ]; then
        printf 'Who answers for the data of this door (name, and address or telephone)? '
        read -r controller || say ""
    fi
    if [ -z "$sign" ]; then
        printf 'Where does the sign hang that tells people of the camera (doorlight sign makes it)? '
        read -r sign || say ""
    fi
}

# Print a text as a TOML string. What cannot be printed, such as the codes of arrow keys, is removed. Without Python, as in a dry
# run on a new system, nothing is written.
toml_string() {
    [ -x "$PYTHON" ] || return 0
    "$PYTHON" -c 'import json, sys; print(json.dumps("".join(filter(str.isprintable, sys.argv[1])).strip()[:200], ensure_ascii=False))' "$1"
}

settings() {
    step "Settings"
    if [ ! -e "$ETC/doorlight.toml" ]; then
        case "$expressions" in
        y | Y | yes | Yes | YES) enabled=true ;;
        *) enabled=false ;;
        esac
        if [ -z "$camera" ]; then
            camera=/dev/video0
            is_raspberry_pi && camera=picamera
        fi
        case "$camera" in *[\"\\]*) die 2 "--camera: quotes and backslashes are not allowed: $camera" ;; esac
        cat >"$scratch/doorlight.toml" <<TOML
# Your settings: only those that differ from $ETC/defaults.toml, which describes all settings.
# An upgrade never changes this file. After a change:
#   doorlight check-config $ETC/doorlight.toml
#   sudo systemctl restart doorlight

[camera]
source = "$camera"
# If there is no camera, the door shows FAULT and waits for it.
wait = true

[expression]
# May expressions of faces be read here? The European Union prohibits it at a door that staff pass (AI Act, Article 5(1)(f)).
enabled = $enabled

[privacy]
# Until the question above and the two below are answered, no expression is read.
answers_required = true
# Who answers for the data of this door: name, and address or telephone. "doorlight sign sign.svg" prints it on the sign.
controller = $(toml_string "$controller")
# Where the sign hangs.
sign = $(toml_string "$sign")
TOML
        put "$scratch/doorlight.toml" "$ETC/doorlight.toml"
    elif [ -n "$camera$expressions$controller$sign" ]; then
        say "--camera, --expressions, --controller and --sign are for the first installation only; change [camera] source," \
            "[expression] and [privacy] in $ETC/doorlight.toml"
    else
        say "$ETC/doorlight.toml is not changed"
    fi
    [ -n "$dry" ] && return
    "$release/bin/doorlight" check-config >"$scratch/defaults.toml"
    if [ -e "$ETC/defaults.toml" ] && ! cmp -s "$scratch/defaults.toml" "$ETC/defaults.toml"; then
        say "Changes in the defaults (- old, + new):"
        diff -U 1 "$ETC/defaults.toml" "$scratch/defaults.toml" | sed 1,2d || true
    fi
    check_settings
    put "$scratch/defaults.toml" "$ETC/defaults.toml"
}

check_settings() {
    "$release/bin/doorlight" check-config "$ETC/doorlight.toml" ||
        die 78 "your settings do not fit the new version (see above); the old program stays in use" \
            "edit them with: sudo nano $ETC/doorlight.toml    and run this script again"
}
