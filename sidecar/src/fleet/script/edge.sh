#!/bin/sh
# Weir: makes this server the edge @NAME@ of the event @EVENT@. cloud-init runs it once, at the first start. It has set the name of the
# host by then and created SSH host keys of this server's own.
set -eu
umask 022
export DEBIAN_FRONTEND=noninteractive

# An image that was made from a running server has that server's id.
tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id.weir
mv /etc/machine-id.weir /etc/machine-id

apt-get update
apt-get install -y --no-install-recommends ca-certificates curl nginx
packages=$(mktemp -d)
chmod 0755 "$packages"
fetch() {
    curl -fsSL --proto '=https' --retry 5 -o "$packages/$1" "$2"
    echo "$3  $packages/$1" | sha256sum -c -
}
@FETCH@
apt-get install -y --no-install-recommends @PACKAGES@
rm -rf "$packages"

# The address from which this server reaches the origin.
origin=$(getent ahosts '@HOST@' | sed -n '1s/ .*//p')
ip=$(ip -o route get "$origin" | sed -n 's/.* src \([^ ]*\).*/\1/p')
case $ip in
    *:*) ip="[$ip]" ;;
    '') echo 'weir: no route to the origin @HOST@' >&2; exit 1 ;;
esac

# This nginx accepts streams only from its own daemon: no other server has this secret.
[ -s /etc/nginx/weir.secret ] || weir secret new /etc/nginx/weir.secret
install -o weir -g weir -m 0600 /etc/nginx/weir.secret /etc/weir/secret
install -d -o www-data -g www-data -m 0700 /var/lib/weir-nginx
cat >/etc/nginx/nginx.conf <<'WEIR_END_OF_FILE'
@NGINX@
WEIR_END_OF_FILE
cat >/etc/weir/weir.toml <<WEIR_END_OF_FILE
[nginx]
secret_file = "/etc/weir/secret"
[web]
trusted_proxies = ["127.0.0.1"]
[edge]
name = "@NAME@"
origin = "@ORIGIN@"
address = "@ADDRESS@"
bandwidth = "@BANDWIDTH@"
transport = "@TRANSPORT@"
@RTMP@
credential_file = "/etc/weir/edge.credential"
WEIR_END_OF_FILE
@SETUP@

# The ticket is valid for one join. After that it is useless, although the user data of this server still contains it.
umask 077
echo '@TICKET@' >/etc/weir/join.ticket
weir edge join '@ORIGIN@' --ticket-file /etc/weir/join.ticket --owner weir /etc/weir/edge.credential
rm -f /etc/weir/join.ticket

nginx -t
systemctl restart nginx
systemctl enable weir
systemctl restart weir
