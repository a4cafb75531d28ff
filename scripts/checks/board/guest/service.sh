#!/bin/sh
# The steps of a board that systemd has booted, with the service as scripts/install.sh has installed it.
set -u
# shellcheck source=scripts/checks/board/guest/lib.sh
. /srv/board/lib.sh
SETTINGS=/etc/doorlight/doorlight.toml

state() {
    systemctl show doorlight -p ActiveState,SubState,NRestarts,Result,StatusText,ExecMainStartTimestampMonotonic,ActiveEnterTimestampMonotonic,InactiveExitTimestampMonotonic |
        sed 's/^/| /'
}

messages() { journalctl -u doorlight -o cat --no-pager -n 40 | sed 's/^/| journal /'; }

is_active() { systemctl --quiet is-active doorlight; }
is_inactive() { ! is_active; }
is_restarted() { is_active && [ "$(systemctl show doorlight -p NRestarts --value)" -gt "$1" ]; }

# The service starts at boot; there is no camera, and it shows FAULT.
service_boots() {
    until_true 600 is_active || echo "| the service is not active"
    mark "active at $(cut -d' ' -f1 /proc/uptime) s"
    state
    pid="$(systemctl show doorlight -p MainPID --value)"
    grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd|Threads|VmHWM):' "/proc/$pid/status" | sed 's/^/| /'
    echo "| user $(stat -c %U "/proc/$pid")"
    echo "| memory.peak $(cat /sys/fs/cgroup/system.slice/doorlight.service/memory.peak 2>&1)"
    echo "| memory.max $(cat /sys/fs/cgroup/system.slice/doorlight.service/memory.max 2>&1)"
    systemd-analyze security doorlight.service --no-pager 2>/dev/null | tail -1 | sed 's/^/| /'
    sleep 5
    messages
}

# The clip stands in for the camera.
service_plays() {
    sed -i 's|^source = .*|source = "/srv/board/door.mp4"|' "$SETTINGS"
    printf '[relay]\npin = 23\n' >>"$SETTINGS"
    before="$(cut -d' ' -f1 /proc/uptime)"
    shown systemctl restart doorlight
    echo "| started in $(echo "$(cut -d' ' -f1 /proc/uptime) $before" | awk '{ print $1 - $2 }') s"
    until_true 400 grep -q STOP /var/lib/doorlight/events.jsonl
    state
}

# The door cannot go on without its pin process: it ends, and systemd starts it again.
service_pins_killed() {
    restarts="$(systemctl show doorlight -p NRestarts --value)"
    mark "pin process killed"
    pkill -KILL -x doorlight-pins
    until_true 400 is_restarted "$restarts" || echo "| the service is not back"
    mark "active again"
    state
    messages
}

service_hangs() {
    until_true 60 is_active
    restarts="$(systemctl show doorlight -p NRestarts --value)"
    mark "door stopped"
    kill -STOP "$(systemctl show doorlight -p MainPID --value)"
    until_true 400 is_restarted "$restarts" || echo "| the service is not back"
    mark "active again"
    state
}

service_stops() {
    until_true 60 is_active
    mark "stop"
    shown systemctl stop doorlight
    mark "stopped"
    state
    messages
    sleep 1
}

run_steps
