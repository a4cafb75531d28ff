"""Updates that cannot brick the box: a signed bundle is installed beside the running version, tried, and kept or taken back.

The layout is that of scripts/install.sh: a folder for each version in /opt/doorlight/releases, and the link
/opt/doorlight/current. The bundle's own install.sh builds the new version and switches to it; this package decides when.

- `manifest`, `version`: what a bundle has, checked
- `signature`: who signed it, by ssh-keygen
- `bundle`, `download`: its files from a folder, a tar file or an https address, checked and copied to the box
- `fit`: whether it fits this box
- `layout`, `disk`: where everything is; writes that survive a power cut
- `trial`: the state of an update, on the disk at each step, and the way back
- `door`: the service, as systemd knows it
- `updater`: one update from the bundle to the start of the trial
- `status`: all of it in words
"""
