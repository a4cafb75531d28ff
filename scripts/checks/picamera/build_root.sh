#!/bin/sh
# Build a Debian 13 with the real Picamera2, and the real libcamera with a sensor that is a folder (libcamera/virtual.cpp).
#
# usage: build_root.sh ROOT      (as root; needs mmdebstrap and a network; six minutes on two idle cores, 1.3 GB)
#
# Debian 13 has no libcamera that knows Picamera2 0.3.38: its source comes from Debian's next release (sid), whose list of
# packages may be out of date on a mirror.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
root="$(realpath -m "$1")"
packages="ca-certificates,python3,python3-venv,python3-pip,python3-dev,python3-numpy,python3-pil,python3-prctl"
packages="$packages,python3-piexif,python3-jsonschema,python3-libarchive-c,python3-tqdm,python3-av"
packages="$packages,gcc,g++,libc6-dev,libcap-dev,libudev1,procps,dpkg-dev,meson,ninja-build,pkg-config,openssl"
packages="$packages,libyaml-dev,libgnutls28-dev,python3-yaml,python3-ply,python3-jinja2,pybind11-dev,libudev-dev"
packages="$packages,libyuv-dev,libjpeg-dev,libevent-dev"
inside() { "$here/enter.sh" "$root" - "$@"; }

rm -rf --one-file-system "$root"
mmdebstrap --quiet --variant=minbase --aptopt='APT::Install-Recommends "false"' --include="$packages" trixie "$root" \
    http://deb.debian.org/debian
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cp "$here/dmaheap_shim.c" "$root/usr/local/src/"
# shellcheck disable=SC2016  # the variables belong to the inner shell
inside sh -eu -c '
    gcc -shared -fPIC -O1 -o /usr/local/lib/dmaheap_shim.so /usr/local/src/dmaheap_shim.c
    python3 -m venv --system-site-packages /venv
    # What Doorlight and its tests need; it is installed itself for each run.
    /venv/bin/pip --disable-pip-version-check -q install picamera2==0.3.38 hatchling hypothesis pytest \
        "ai-edge-litert>=1.2" "gpiozero>=2" "msgspec>=0.18" "opencv-python-headless>=4.8" "rich>=13"
    # Picamera2 imports kms++ for a preview on a screen.
    cd "$(/venv/bin/python -c "import sysconfig; print(sysconfig.get_paths()[\"purelib\"])")"
    printf "class _Anything:\n    def __getattr__(self, name):\n        return name\n\n\nPixelFormat = _Anything()\n" >pykms.py

    mkdir -p /usr/src/libcamera /tmp/lists/partial
    cd /usr/src/libcamera
    echo "deb-src [check-valid-until=no] http://deb.debian.org/debian sid main" >/tmp/source.list
    set -- -o Dir::Etc::sourcelist=/tmp/source.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=/tmp/lists
    apt-get "$@" -q update >/dev/null
    apt-get "$@" -q source --download-only libcamera >/dev/null 2>&1
    mkdir source
    tar xf ./*.orig.tar.* -C source --strip-components=1
    rm source/src/libcamera/pipeline/virtual/*.cpp source/src/libcamera/pipeline/virtual/*.h
'
cp "$here/libcamera/virtual.cpp" "$here/libcamera/meson.build" \
    "$root/usr/src/libcamera/source/src/libcamera/pipeline/virtual/"
# shellcheck disable=SC2016
inside sh -eu -c '
    cd /usr/src/libcamera/source
    meson setup ../build --prefix=/opt/libcamera --libdir=lib -Dbuildtype=plain -Dcpp_args=-O1 \
        -Dpipelines=virtual -Dipas= -Dpycamera=enabled -Dcam=disabled -Dudev=enabled -Dqcam=disabled -Dgstreamer=disabled \
        -Ddocumentation=disabled -Dtest=false -Dtracing=disabled -Dv4l2=disabled -Dandroid=disabled \
        -Dlc-compliance=disabled -Dwerror=false >/dev/null
    nice ninja -C ../build -j"$(nproc)" >/tmp/libcamera.log || { tail -30 /tmp/libcamera.log; exit 1; }
    mkdir -p /opt/libcamera/lib /opt/libcamera/python/libcamera
    cp -P ../build/src/libcamera/libcamera.so.?.? ../build/src/libcamera/libcamera.so.?.?.? /opt/libcamera/lib/
    cp -P ../build/src/libcamera/base/libcamera-base.so.?.? ../build/src/libcamera/base/libcamera-base.so.?.?.? \
        /opt/libcamera/lib/
    cp ../build/src/py/libcamera/*.so src/py/libcamera/__init__.py /opt/libcamera/python/libcamera/
    rm -rf /usr/src/libcamera /tmp/lists
'
