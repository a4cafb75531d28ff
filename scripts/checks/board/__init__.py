"""An emulated Raspberry Pi 3: QEMU runs Debian 13 for arm64 with Doorlight, and its pins are read in the chip's registers."""
