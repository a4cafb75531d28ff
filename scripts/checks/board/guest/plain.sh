#!/bin/sh
# The steps of a board without systemd: commands of Doorlight, as root, on real pins. Started by init.
set -u
# shellcheck source=scripts/checks/board/guest/lib.sh
. /srv/board/lib.sh
cd /tmp || exit 1
RELAY=/srv/board/relay.toml

board() {
    echo "| $(tr -d '\0' </proc/device-tree/model), $(uname -rm), $(nproc) processors"
    gpiodetect 2>&1 | sed 's/^/| /'
}

doctor() { shown doorlight doctor --source "$DEMO" --json; }

# The empty package of PyPI hides the library that works; then there is none at all. The installer refuses both, and the
# version in use stays.
empty_lgpio() {
    local_packages="$(echo /usr/local/lib/python3.*/dist-packages)"
    empty="$local_packages/lgpio-0.0.0.2.dist-info"
    mkdir -p "$empty"
    printf 'Metadata-Version: 2.1\nName: lgpio\nVersion: 0.0.0.2\n' >"$empty/METADATA"
    : >"$local_packages/lgpio.py"
    echo "| with the empty package"
    shown doorlight lights --test --seconds 1
    shown sh /srv/board/source/scripts/install.sh --without-start
    rm -r "$empty" "$local_packages/lgpio.py"
    echo "| without a package"
    mv /usr/lib/python3/dist-packages/lgpio.py /tmp/
    mv /usr/lib/python3/dist-packages/lgpio-*.dist-info /tmp/
    shown doorlight lights --test --seconds 1
    shown sh /srv/board/source/scripts/install.sh --without-start
    mv /tmp/lgpio.py /tmp/lgpio-*.dist-info /usr/lib/python3/dist-packages/
    shown doorlight lights --off
}

report() {
    shown doorlight doctor --source "$DEMO" --report /tmp/report.md
    sed 's/^/| report /' /tmp/report.md
}

lights() { shown doorlight lights --test --seconds 3 --config "$RELAY"; }

# With the default, the pin process shows FAULT when a frame takes more than 3 s, as on a busy computer.
clip() {
    shown doorlight run --source "$DEMO" --events /tmp/clip.jsonl --config /srv/board/slow.toml
    sed 's/^/| event /' /tmp/clip.jsonl
}

# lit SIGNAL: start the clip in the background, and wait until the door shows a signal.
lit() {
    rm -f /tmp/out /tmp/kill.jsonl*
    doorlight run --source "$DEMO" --events /tmp/kill.jsonl --config "$RELAY" >/tmp/out 2>&1 &
    door=$!
    until_true 200 grep -q "$1" /tmp/out
}

ended() {
    code=0
    wait "$door" || code=$?
    sed 's/^/| /' /tmp/out
    echo "| exit code $code"
}

pins_killed() {
    lit STOP
    mark "pin process killed"
    pkill -KILL -x doorlight-pins
    ended
}

door_hangs() {
    lit STOP
    mark "door stopped"
    kill -STOP "$door"
    sleep 8
    mark "door killed"
    kill -KILL "$door"
    ended
    sleep 2
}

# As root, a picture instead of a clip, on real pins. SIGABRT lets the door show where it is.
still_with_relay() { shown timeout --signal=ABRT 150 doorlight run --source "$STILL" --events /tmp/s1.jsonl --config "$RELAY"; }
still_without_relay() { shown timeout --signal=ABRT 150 doorlight run --source "$STILL" --events /tmp/s2.jsonl; }

# A camera in the network, which is this board: a masked person for a time, then one without a mask.
live_relay() {
    /opt/doorlight/current/bin/python /srv/board/camera.py "$DEMO" >/tmp/camera.out 2>&1 &
    camera=$!
    until_true 60 grep -q serving /tmp/camera.out || sed 's/^/| camera /' /tmp/camera.out
    shown timeout --signal=INT 300 doorlight run --source http://127.0.0.1:8090/ --events /tmp/live.jsonl --config "$RELAY" &
    until_true 280 grep -q STOP /tmp/live.jsonl
    sleep 2
    pkill -INT -f 'doorlight run --source http'
    wait $!
    kill "$camera"
}

run_steps
