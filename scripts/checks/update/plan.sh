#!/bin/sh
# Runs in the booted system: the steps in /plan. try-X: begin the trial of release X. wait-S: wait S seconds.
exec >>/log 2>&1
state() {
    extra=no
    [ ! -e /etc/systemd/system/doorlight-extra.service ] || extra=yes
    echo "STATE $(basename "$(readlink /opt/doorlight/current)") $(systemctl is-active doorlight) $(systemctl show doorlight -p StatusText) timer=$(systemctl is-active doorlight-trial.timer) extra=$extra"
    /opt/doorlight/current/bin/doorlight update --status
}
sleep 5
# shellcheck disable=SC2013  # words
for step in $(cat /plan); do
    echo "== $step"
    case "$step" in
    try-*)
        cp -rn "/spare/${step#try-}" /opt/doorlight/releases/
        python3 -B /begin_trial.py "${step#try-}"
        ;;
    wait-*) sleep "${step#wait-}" ;;
    rollback) /opt/doorlight/current/bin/doorlight update --rollback ;;
    unplug) sync && systemctl --force --force poweroff ;;
    off) ;;
    esac
    state
done
journalctl -b -u doorlight -u doorlight-trial -o cat --no-pager
sync
systemctl poweroff
