#!/bin/sh
# In the guest: the suites that depend on the machine, as root and as an ordinary user, under systemd.
# `cargo xtask test --vm` reads what this prints on the serial line; its last line is the outcome.
set -u
. /payload/environment
export PYTHONPATH=/payload/site PYTHONDONTWRITEBYTECODE=1 PILOTLIGHT_BINARY=/payload/bin/pilotlight LANG=C.UTF-8 TERM=dumb
# The target directory may lie in the tree.
mkdir -p "$TREE" "$CARGO_TARGET_DIR/tmp"
ln -s /payload/* "$TREE"
ln -s /payload/bin "$CARGO_TARGET_DIR/debug"
cd /payload
failed=0

suite() {
    name="$1"
    shift
    echo "== $name: begins, $(uname --kernel-release), $(date --utc +%T)"
    "$@"
    code=$?
    echo "== $name: ends with $code, $(date --utc +%T)"
    [ "$code" = 0 ] || failed=1
}

# Emulation is slow: what takes a second elsewhere takes half a minute here.
pytest="python3 -m pytest -p no:cacheprovider -ra --timeout=1800 --rootdir=/payload"

as_user() {
    systemd-run --quiet --user --machine=ordinary@.host --wait --pipe --property=Delegate=yes \
        --setenv=PYTHONPATH --setenv=PYTHONDONTWRITEBYTECODE --setenv=PILOTLIGHT_BINARY --setenv=LANG \
        $(cut --delimiter== --fields=1 /payload/names | sed 's/^/--setenv=/') \
        --working-directory=/payload "$@"
}

useradd --create-home --shell /bin/sh ordinary
loginctl enable-linger ordinary
until [ -S "/run/user/$(id --user ordinary)/bus" ]; do sleep 1; done

for suite in $(cat /payload/suites); do
    case "$suite" in
    doctor)
        suite "doctor as root" /payload/bin/pilotlight doctor
        suite "doctor as a user" as_user /payload/bin/pilotlight doctor
        ;;
    sandbox)
        for binary in /payload/bin/test-*; do
            suite "sandbox, $(basename "$binary")" "$binary" --test-threads=2 --color=never
        done
        ;;
    security) suite "security as root" $pytest tests/security ;;
    containers) suite "containers as root" $pytest tests/e2e/test_container.py tests/e2e/test_zygotes.py ;;
    # As root: the tests make the user, and become it.
    rootless) suite "rootless" $pytest tests/e2e/test_rootless.py ;;
    esac
done
echo "== all: ends with $failed"
systemctl poweroff
