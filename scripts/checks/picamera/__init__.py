"""The real Picamera2 and libcamera with a sensor that is a folder; see scripts/checks/picamera.sh.

- build_root.sh: build the system; enter.sh: run a command in it
- libcamera/: the sensor; dmaheap_shim.c: memory for its pictures
- sensor: fill the folder, and give orders
- door: run the whole door on it: the demo clip, faults, costs
- report: write what was measured as Markdown
"""
