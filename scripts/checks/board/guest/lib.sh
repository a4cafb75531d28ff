# shellcheck shell=sh
# Sourced by plain.sh and service.sh: how a step tells the host what it does. The lines go to the serial console.
#
#   BOARD begin STEP …   a step begins
#   BOARD mark WORD      something was done to the door at this moment
#   | …                  a line of the step's output
#   BOARD end STEP       the step has ended
#   BOARD done           all steps have ended

export HOME=/root LANG=C.UTF-8
# shellcheck disable=SC2034  # plain.sh uses them
DEMO=/srv/board/door.mp4
# shellcheck disable=SC2034
STILL=/srv/board/still.jpg

mark() { echo "BOARD mark $*"; }

# shown COMMAND...: run a command, with its output and its exit code as lines of the step.
shown() {
    {
        code=0
        "$@" 2>&1 </dev/null || code=$?
        echo "exit code $code"
    } | sed -u 's/^/| /'
}

# until_true SECONDS COMMAND...: run a command again and again until it succeeds; fail after SECONDS. They are measured by
# the clock: on the emulated board, a command such as systemctl takes seconds itself.
until_true() {
    deadline=$(($(uptime_s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(uptime_s)" -lt "$deadline" ] || return 1
        sleep 0.5
    done
}

uptime_s() { cut -d. -f1 /proc/uptime; }

# The steps on the kernel's command line, such as board.steps=doctor,lights.
run_steps() {
    steps="$(sed -n 's/.*board\.steps=\([a-z_,]*\).*/\1/p' /proc/cmdline)"
    for step in $(echo "$steps" | tr , ' '); do
        echo "BOARD begin $step at $(cut -d' ' -f1 /proc/uptime) s"
        "$step"
        echo "BOARD end $step"
    done
    echo "BOARD done"
}
