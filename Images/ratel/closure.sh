#!/bin/sh
# Collects in the folder $1, which holds usr/bin/ratel, what that program needs of the system it
# runs on: libraries, authorities, names. Fails when one is missing.
set -eu
image=$1
libraries=usr/lib/x86_64-linux-gnu
mkdir -p "$image/$libraries" "$image/usr/lib64" "$image/usr/sbin" "$image/etc/ssl/certs" \
    "$image/etc/ratel" "$image/dev" "$image/proc" "$image/run" "$image/sys" "$image/tmp"
chmod 755 "$image/tmp"
for name in bin lib lib64 sbin; do ln -s "usr/$name" "$image/$name"; done

# What libtss2-tctildr opens by name is not in any program's list.
for program in "$image/usr/bin/ratel" /$libraries/libtss2-tcti-device.so.0 \
    /$libraries/libtss2-tcti-swtpm.so.0; do
    [ -e "$program" ] || { echo "closure: $program is missing" >&2; exit 1; }
    if ldd "$program" | grep 'not found' >&2; then exit 1; fi
    ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p'
    case "$program" in /usr/lib/*) echo "$program" ;; esac
done | sort -u | while read -r library; do
    install -m 644 "$library" "$image/$libraries/$(basename "$library")"
done
install -m 755 /$libraries/ld-linux-x86-64.so.2 "$image/$libraries/"
ln -sf ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$image/usr/lib64/ld-linux-x86-64.so.2"

install -m 644 /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
install -m 644 /usr/lib/os-release "$image/usr/lib/os-release"
ln -s ../usr/lib/os-release "$image/etc/os-release"
cat > "$image/etc/passwd" <<'PASSWD'
root:x:0:0:root:/:/nonexistent
ratel:x:65532:65532:Ratel:/nonexistent:/nonexistent
PASSWD
printf 'root:x:0:\nratel:x:65532:\n' > "$image/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' > "$image/etc/nsswitch.conf"

# The licences of what was taken, where Debian's images keep them.
for library in "$image/$libraries"/*; do
    # What was moved aside for another package is named as a diversion too.
    dpkg-query -S "*/$(basename "$library")" | sed '/^diversion /d; s/[:,].*//'
done | sort -u | while read -r package; do
    mkdir -p "$image/usr/share/doc/$package"
    cp -L "/usr/share/doc/$package/copyright" "$image/usr/share/doc/$package/"
done
