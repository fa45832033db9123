#!/bin/sh
# Two other servers that let agents read PostgreSQL over MCP, for the bench to measure beside: pinned, and only in
# target/peers. Where a registry can't be reached, or a tool that installs is missing, that server is left out and the
# bench says so.
set -eu

toolbox=1.12.0
postgres_mcp=0.3.0
# The release of postgres-mcp names pglast 7.2.0, which the registry has no more; 7.20 is the same parser of PostgreSQL 17.
requirements="attrs==26.1.0 humanize==4.17.0 instructor==1.17.0 mcp[cli]==1.30.0 pglast==7.20 psycopg[binary]==3.3.9 psycopg-pool==3.3.3"

repository=$(cd "$(dirname "$0")/.." && pwd -P)
peers=$repository/target/peers
mkdir -p "$peers"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf 'peers: %s\n' "$*"; }

# install NAME VERSION COMMAND...: once for a version, from scratch, and whole or not at all.
install() {
    name=$1
    stamp=$peers/$name/version
    version=$2
    shift 2
    [ "$(cat "$stamp" 2>/dev/null)" != "$version" ] || return 0
    say "installing $name $version"
    rm -rf "${peers:?}/$name"
    mkdir -p "$peers/$name"
    if "$@" >"$log" 2>&1; then
        printf '%s\n' "$version" >"$stamp"
    else
        rm -rf "${peers:?}/$name"
        tail -n 3 "$log"
        say "$name could not be installed; the bench goes on without it"
    fi
}

from_npm() {
    npm install --prefix "$peers/toolbox" --no-save --no-audit --no-fund "@toolbox-sdk/server@$toolbox"
}

# It needs Python 3.12, which may not be the first that is found.
python() {
    for candidate in python3 python3.13 python3.12 "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python3; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    echo "there is no Python 3.12 or later" >&2
    return 1
}

from_pypi() {
    interpreter=$(python) || return 1
    "$interpreter" -m venv "$peers/postgres-mcp" || return 1
    # shellcheck disable=SC2086 # a list of packages
    "$peers/postgres-mcp/bin/pip" install --quiet $requirements || return 1
    "$peers/postgres-mcp/bin/pip" install --quiet --no-deps "postgres-mcp==$postgres_mcp"
}

install toolbox "$toolbox" from_npm
install postgres-mcp "$postgres_mcp" from_pypi
