# Writes certificates and configuration of the sites. Sourced by `scripts/sites`, which says where ($DIR) and has the
# addresses.
# shellcheck shell=bash disable=SC2154

authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$2" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$DIR/pki/$1.key" -out "$DIR/pki/$1.pem" 2>/dev/null
}

# A certificate of an authority for a name, with the extensions of the standard input.
issue() {
  local by=$1 name=$2 out=$3
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$out.key" -out "$out.csr" 2>/dev/null
  openssl x509 -req -in "$out.csr" -CA "$DIR/pki/$by.pem" -CAkey "$DIR/pki/$by.key" -CAcreateserial -days 365 \
    -extfile /dev/stdin -out "$out.pem" 2>/dev/null
  rm "$out.csr"
  chmod 600 "$out.key"
}

certificates() {
  local s names
  mkdir -p "$DIR/pki"
  # Two authorities: a client's certificate opens PostgreSQL and neither etcd nor Patroni.
  authority sites "clover sites"
  authority clients "clover clients"
  cat "$DIR/pki/sites.pem" "$DIR/pki/clients.pem" >"$DIR/pki/all.pem"
  for s in "${SITES[@]}"; do
    names="DNS:$s,IP:$(back "$s"),IP:$(front "$s")"
    # On one interface all calls come from this address, and etcd's members look for it.
    [ "$MODE" = netns ] || names+=,IP:127.0.0.1
    issue sites "$s" "$DIR/$s/site" <<<"basicConstraints=CA:FALSE
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=$names"
  done
  issue clients clover "$DIR/pki/clover" <<<"basicConstraints=CA:FALSE
extendedKeyUsage=clientAuth
subjectAltName=DNS:clover"
}

joined() { local IFS=,; echo "$*"; }

configure() {
  local s e hba=() ident=() peers=() clients=() own net text
  for e in "${ETCD[@]}"; do
    peers+=("$e=https://$(back "$e"):2380")
    clients+=("$(back "$e"):2379")
  done
  for s in "${SITES[@]}"; do
    net=$(back "$s")/32
    [ "$MODE" = netns ] || net=127.0.0.0/8
    hba+=("    - \"hostssl replication $(role "$s") $net cert map=sites\"" "    - \"hostssl postgres rewinder $net cert map=sites\"")
    ident+=("    - \"sites $s $(role "$s")\"" "    - \"sites $s rewinder\"")
  done
  for s in "${SITES[@]}"; do
    own=$(back "$s")/32 net=10.213.$NET.0/24 text=$(back "$s"),$(front "$s")
    [ "$MODE" = netns ] || own=127.0.0.0/8 net=127.0.0.0/8 text=$(back "$s")
    SITE=$s BACK=$(back "$s") LISTEN=$text BIN=$(bin_dir) ROLE=$(role "$s") OWN=$own CLIENTS=$net \
      SHARED_BUFFERS=32MB ETCD_PEERS=$(joined "${peers[@]}") ETCD_CLIENTS=$(joined "${clients[@]}") \
      HBA_SITES=$(printf '%s\n' "${hba[@]}") IDENT_SITES=$(printf '%s\n' "${ident[@]}") \
      SSL="sslmode: verify-full, sslcert: $DIR/$s/site.pem, sslkey: $DIR/$s/site.key, sslrootcert: $DIR/pki/sites.pem" \
      fill patroni.yml "$DIR/$s/patroni.yml"
    SITE=$s BACK=$(back "$s") ETCD_PEERS=$(joined "${peers[@]}") fill etcd.yml "$DIR/$s/etcd.yml"
  done
  {
    for s in "${SITES[@]}"; do echo "create role $(role "$s") login replication;"; done
    cat deploy/sites/roles.sql
  } >"$DIR/roles.sql"
  echo "exec $(bin_dir)/psql -X -q -v ON_ERROR_STOP=1 -f $DIR/roles.sql \"\$1\"" >"$DIR/roles.sh"
}

# Puts the variables that the environment has into a template.
fill() {
  /usr/bin/python3 -c 'import os, re, sys
sys.stdout.write(re.sub("@([A-Z_]+)@", lambda m: os.environ[m.group(1)], sys.stdin.read()))' <"deploy/sites/$1" >"$2"
}

describe() {
  local s names=() addresses=()
  for s in "${SITES[@]}"; do names+=("$s") addresses+=("$(front "$s")"); done
  cat >"$DIR/client.env" <<E
PGHOST=$(joined "${names[@]}")
PGHOSTADDR=$(joined "${addresses[@]}")
PGPORT=5432
PGUSER=clover
PGDATABASE=clover
PGSSLMODE=verify-full
PGSSLROOTCERT=$DIR/pki/sites.pem
PGSSLCERT=$DIR/pki/clover.pem
PGSSLKEY=$DIR/pki/clover.key
PGTARGETSESSIONATTRS=read-write
PGCONNECT_TIMEOUT=2
E
}
