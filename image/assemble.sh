#!/bin/sh
# The image's root: Python, the product, the shared libraries these two load, certificates, licences. Nothing else.
#
#   assemble.sh DEBIAN SITE ROOT
#
# What is taken from Debian's part is named here, so no shell, no tool and no setuid file can come along unseen.
# Everything runs by the image's own loader and interpreter, in place, without root rights and without a chroot.
set -eu

DEBIAN=$(cd "$1" && pwd)
SITE=$2
ROOT=$3
LIB=$(cd "$DEBIAN" && echo usr/lib/*-linux-gnu)
PY=usr/lib/python3.13
PACKAGES=usr/local/lib/python3.13/dist-packages
UID_=65532 # the number that images without a distribution's users have agreed on for "nonroot"

rm -rf "$ROOT"
mkdir -p "$ROOT"
ROOT=$(cd "$ROOT" && pwd)
fail() { echo "make image: $*" >&2; exit 1; }

# The folders that a runtime mounts over exist, since nothing can make them in a read-only root.
(cd "$ROOT" && mkdir -p data dev etc/ssl/certs etc/tidegate proc run sys tmp usr/bin usr/lib64 usr/lib/ssl "$LIB" "$PACKAGES")
ln -s usr/bin "$ROOT/bin"
ln -s usr/lib "$ROOT/lib"
ln -s usr/lib64 "$ROOT/lib64"
chmod 1777 "$ROOT/tmp"
chmod 0700 "$ROOT/data"

cp "$DEBIAN/usr/bin/python3.13" "$ROOT/usr/bin/"
cp -R "$DEBIAN/$PY" "$ROOT/usr/lib/"
cp -R "$SITE/." "$ROOT/$PACKAGES/"
rm -rf "$ROOT/$PY/__pycache__"

grep -v -e '^#' -e '^$' image/prune.txt | while read -r glob; do
    found=
    for path in "$ROOT"/$glob; do
        [ -e "$path" ] || [ -L "$path" ] || continue
        found=yes
        rm -rf "$path"
    done
    [ -n "$found" ] || fail "image/prune.txt names $glob, which is not there (any more)"
done
find "$ROOT" \( -name '*.pyi' -o -name 'py.typed' -o -name '*.c' -o -name '*.h' -o -name RECORD -o -name REQUESTED \
    -o -name INSTALLER -o -name direct_url.json -o -name WHEEL -o -name top_level.txt \) -delete

# Debian's part is run where it lies, for this build only.
loader=$(echo "$DEBIAN/$LIB"/ld-linux-*.so.*)
[ -x "$loader" ] || fail "$DEBIAN has no loader in $LIB"
python() {
    env -i PYTHONHOME="$ROOT/usr" PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$ROOT/$PACKAGES" PYTHONHASHSEED=0 \
        "$loader" --library-path "$ROOT/$LIB:$DEBIAN/$LIB" "$ROOT/usr/bin/python3.13" -s "$@"
}

# Shared libraries: what the loader finds for each file, none by name. A library that is missing stops the build.
find "$ROOT" -type f \( -name '*.so' -o -name '*.so.*' -o -name python3.13 \) | sort | while read -r file; do
    strip --strip-unneeded "$file"
    chmod 0755 "$file"
    "$loader" --library-path "$DEBIAN/$LIB" --list "$file" || echo "$file => not found"
done >"$ROOT.libraries"
! grep 'not found' "$ROOT.libraries" >&2 || fail "the libraries above are not among Debian's packages in build.sh"
# The loader also looks where this machine keeps its own, which would not be in the image.
! grep ' => /' "$ROOT.libraries" | grep -v -F -e " => $DEBIAN/" -e " => $ROOT/" >&2 ||
    fail "the libraries above are this machine's; name their packages in build.sh"
sed -n "s|.* => \($DEBIAN/[^ ]*\) .*|\1|p" "$ROOT.libraries" | sort -u | while read -r file; do
    cp "$file" "$ROOT/$LIB/"
    strip --strip-unneeded "$ROOT/$LIB/${file##*/}"
done
rm "$ROOT.libraries"
cp "$loader" "$ROOT/$LIB/"
interpreter=$(cd "$DEBIAN" && echo usr/lib*/ld-linux-*.so.*) # where the kernel looks for it: by architecture
case $interpreter in
    usr/lib64/*) ln -s "../${LIB#usr/}/${loader##*/}" "$ROOT/$interpreter" ;;
    usr/lib/*) ln -s "${LIB##*/}/${loader##*/}" "$ROOT/$interpreter" ;;
esac

cat >"$ROOT/usr/bin/tidegate" <<'PROGRAM'
#!/usr/bin/python3.13 -IB
import sys

from gateway.cli import main

sys.exit(main())
PROGRAM
chmod 0755 "$ROOT/usr/bin/tidegate"
echo "root:x:0:0:root:/:/nonexistent
nonroot:x:$UID_:$UID_:tidegate:/data:/nonexistent" >"$ROOT/etc/passwd"
echo "root:x:0:
nonroot:x:$UID_:" >"$ROOT/etc/group"
echo "hosts: files dns" >"$ROOT/etc/nsswitch.conf"
cat "$DEBIAN"/usr/share/ca-certificates/mozilla/*.crt >"$ROOT/etc/ssl/certs/ca-certificates.crt"
ln -s /etc/ssl/certs "$ROOT/usr/lib/ssl/certs"
ln -s /etc/ssl/certs/ca-certificates.crt "$ROOT/usr/lib/ssl/cert.pem"

# The licences of what is in here: Debian's where Debian keeps them, a wheel's in its dist-info.
for file in "$DEBIAN"/usr/share/doc/*/copyright; do
    package=${file%/copyright}
    case ${package##*/} in
        debconf | libdb* | libncurses* | libreadline* | readline-common | libtinfo* | netbase | openssl | tzdata) continue ;;
    esac
    mkdir -p "$ROOT/usr/share/doc/${package##*/}"
    cp -L "$file" "$ROOT/usr/share/doc/${package##*/}/"
done

python image/imports.py "$ROOT/$PACKAGES" || fail "something that image/prune.txt removes is needed"

# Byte code only, and valid for good: without it a read-only root compiles everything at each start.
python -m compileall -q -b --invalidation-mode unchecked-hash -s "$ROOT" -p / "$ROOT/$PY" "$ROOT/$PACKAGES" ||
    fail "byte code could not be made"
find "$ROOT/$PY" "$ROOT/$PACKAGES" -name '*.py' -delete
find "$ROOT/$PY" "$ROOT/$PACKAGES" -name __pycache__ -type d -prune -exec rm -rf {} +
find "$ROOT/$PY" "$ROOT/$PACKAGES" -type d -empty -delete
chmod -R u+rwX,go+rX,go-w "$ROOT"
chmod 1777 "$ROOT/tmp"
chmod 0700 "$ROOT/data"
python -c "import gateway.app, adapters.opcua.adapter, adapters.modbus.adapter" || fail "the finished root does not start"
