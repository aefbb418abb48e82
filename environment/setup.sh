#!/bin/sh
# Turns a bare Debian into the fe2 environment. Run as root inside it: by the Dockerfile, and by ./container.
set -eu
here=$(dirname "$0")
export DEBIAN_FRONTEND=noninteractive

apt-get update
sed 's/#.*//' "$here/packages.txt" | xargs apt-get install --yes --no-install-recommends
python3 -m venv /opt/tools
/opt/tools/bin/pip install --no-cache-dir --disable-pip-version-check -r "$here/tools.txt"
ln -s /opt/tools/bin/ruff /opt/tools/bin/lint-imports /usr/local/bin/
apt-get clean
rm -rf /var/lib/apt/lists/*

# `fe2` runs the packages found on PYTHONPATH: the checkout under ./container, /opt/fe2 in the image.
cat > /usr/local/bin/fe2 <<'SCRIPT'
#!/bin/sh
exec python3 -m solver "$@"
SCRIPT
chmod 755 /usr/local/bin/fe2
