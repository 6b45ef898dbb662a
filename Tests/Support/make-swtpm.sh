#!/bin/sh
# Makes the state of a software TPM in the folder $1, with an endorsement certificate by a CA of
# its own; the CA's certificates end up in $1/ca.pem. Fails if swtpm-tools are not installed.
set -eu
dir=$1
mkdir -p "$dir/ca" "$dir/state"
cat > "$dir/localca.conf" <<CONF
statedir = $dir/ca
signingkey = $dir/ca/signkey.pem
issuercert = $dir/ca/issuercert.pem
certserial = $dir/ca/certserial
CONF
cat > "$dir/localca.options" <<CONF
--platform-manufacturer Ratel
--platform-version 1
--platform-model test
CONF
cat > "$dir/setup.conf" <<CONF
create_certs_tool = $(command -v swtpm_localca || echo /usr/share/swtpm/swtpm-localca)
create_certs_tool_config = $dir/localca.conf
create_certs_tool_options = $dir/localca.options
CONF
swtpm_setup --tpm2 --tpmstate "$dir/state" --config "$dir/setup.conf" --create-ek-cert \
    --lock-nvram --overwrite --logfile "$dir/setup.log" >/dev/null
cat "$dir/ca/issuercert.pem" "$dir/ca/swtpm-localca-rootca-cert.pem" > "$dir/ca.pem"
