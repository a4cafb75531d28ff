#!/bin/sh
# Compile the models for one Coral Edge TPU, and add the compiled files to manifest.toml. They are compiled together
# so that their weights share its 8 MB. No file is replaced unless every operation runs on the Edge TPU.
set -eu
usage="usage: scripts/compile_edgetpu.sh [--models DIR]"
root="$(cd "$(dirname "$0")/.." && pwd)"
models="$root/models_tflite"
case "${1:-}" in
"") ;;
-h | --help)
    echo "$usage"
    echo "  --models DIR  folder with manifest.toml and the models (default: models_tflite)"
    echo "Needs Coral's edgetpu_compiler (x86-64 only), in the PATH or named by \$EDGETPU_COMPILER."
    exit 0
    ;;
--models)
    models="${2:-}"
    [ -d "$models" ] || { echo "$usage" >&2; exit 2; }
    ;;
*)
    echo "$usage" >&2
    exit 2
    ;;
esac

compiler="${EDGETPU_COMPILER:-$(command -v edgetpu_compiler || true)}"
if [ -z "$compiler" ] || ! command -v "$compiler" >/dev/null; then
    {
        echo "doorlight: ${compiler:-edgetpu_compiler}: not found"
        if [ "$(uname -m)" != x86_64 ]; then
            echo "           It runs on x86-64 only, and this is $(uname -m): compile on a PC, copy its models_tflite/ into"
            echo "           the checkout here, and run sudo scripts/install.sh again (systemd/README.md, Coral)"
        fi
        echo "           On Debian or Ubuntu (x86-64), install it from Coral's package archive:"
        echo "             curl -fsSL https://packages.cloud.google.com/apt/doc/apt-key.gpg |"
        echo "               sudo gpg --dearmor -o /usr/share/keyrings/coral-edgetpu.gpg"
        echo "             echo 'deb [signed-by=/usr/share/keyrings/coral-edgetpu.gpg]" \
            "https://packages.cloud.google.com/apt coral-edgetpu-stable main' |"
        echo "               sudo tee /etc/apt/sources.list.d/coral-edgetpu.list"
        echo "             sudo apt-get update && sudo apt-get install edgetpu-compiler"
    } >&2
    exit 69
fi

python="${PYTHON:-$root/.venv/bin/python}"
command -v "$python" >/dev/null || python=python3
if ! "$python" -c 'import msgspec, tflite' 2>/dev/null; then
    echo "doorlight: $python: msgspec or tflite is missing; run scripts/test once, or: pip install .[dev]" >&2
    exit 69
fi

output="$(mktemp -d)"
trap 'rm -rf "$output"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# The compiler gives memory to the first model first: the detector runs on most frames, the others on few.
set -- "$models/face_detector.tflite" "$models/mask_classifier.tflite" "$models/expression_classifier.tflite"
# The door runs these only if a setting asks for them, and a folder of models may be without them.
for name in face_landmarks masked_expression_classifier face_embedding; do
    [ ! -f "$models/$name.tflite" ] || set -- "$@" "$models/$name.tflite"
done
if ! "$compiler" --show_operations --out_dir "$output" "$@"; then
    echo "compile_edgetpu.sh: $compiler failed; nothing was changed" >&2
    exit 65
fi
PYTHONPATH="$root/scripts:$root${PYTHONPATH:+:$PYTHONPATH}" "$python" -m training.edgetpu "$models" "$output"
