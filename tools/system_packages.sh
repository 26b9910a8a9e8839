#!/bin/sh
# Looks for commands, or files by their full path. On Debian as root, installs the packages of missing ones. Elsewhere,
# prints what is missing and continues, so that later steps can say what they skip.
# Usage: system_packages.sh COMMAND:PACKAGE...
missing=
for pair in "$@"; do
    case ${pair%%:*} in
        /*) [ -e "${pair%%:*}" ] ;;
        *) command -v "${pair%%:*}" >/dev/null 2>&1 ;;
    esac || missing="$missing ${pair#*:}"
done
# Debian ships python3 without ensurepip; a virtual environment needs it.
if command -v python3 >/dev/null 2>&1 && ! python3 -c 'import ensurepip' >/dev/null 2>&1; then
    missing="$missing python3-venv"
fi
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing system packages:$missing" >&2
    apt-get update -qq
    for package in $missing; do
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null ||
            echo "Could not install $package. What needs it is skipped or will fail." >&2
    done
else
    echo "Missing on this system:$missing. What needs them is skipped or will fail." >&2
fi
exit 0
