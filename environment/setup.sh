#!/bin/sh
# Turns a bare Debian into the fe2 environment. Run as root inside it: by the Dockerfile, and by ./container.
# FE2_CA_BUNDLE may name a file of certificates for hosts whose network has an authority of its own.
set -eu
here=$(dirname "$0")
export DEBIAN_FRONTEND=noninteractive
if [ -s "${FE2_CA_BUNDLE:-}" ]; then
    export PIP_CERT="$FE2_CA_BUNDLE" SSL_CERT_FILE="$FE2_CA_BUNDLE"
fi

cat > /etc/dpkg/dpkg.cfg.d/fe2 <<'SETTINGS'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/lib/libtorch-test/*
SETTINGS

apt-get update
sed 's/#.*//' "$here/packages.txt" | xargs apt-get install --yes --no-install-recommends
apt-get clean
rm -rf /var/lib/apt/lists/*

python3 -m venv /usr/local/lib/fe2-tools
/usr/local/lib/fe2-tools/bin/pip install --no-cache-dir --disable-pip-version-check -r "$here/tools.txt"
ln -s /usr/local/lib/fe2-tools/bin/ruff /usr/local/lib/fe2-tools/bin/lint-imports /usr/local/bin/

install -m 755 "$here/fe2-enter" "$here/fe2" /usr/local/bin/
