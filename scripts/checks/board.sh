#!/bin/sh
# Boot an emulated Raspberry Pi with Doorlight, and read its pins. See scripts/checks/board.sh --help.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib/setup_venv.sh
setup_venv dev
PYTHONPATH=scripts exec .venv/bin/python -m checks.board "$@"
