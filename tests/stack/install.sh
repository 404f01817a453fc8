#!/usr/bin/env bash
# Installs what `stack` runs: PostgreSQL and Java from the system's packages, Kafka and Debezium from Maven Central,
# ClickHouse (as a library) from PyPI.
# Run it as often as you like: what is there is left alone, and a second run takes under a second.
#
#   tests/stack/install.sh            install what is missing
#   tests/stack/install.sh --check    install nothing; say what is missing and exit 1
#
# Jars and library go to ${EDGEFEED_STACK_HOME:-$HOME/.cache/edgefeed/stack}; remove that folder to be rid of them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${EDGEFEED_STACK_HOME:-$HOME/.cache/edgefeed/stack}
dependency_plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
check_only=no
case "${1:-}" in
    '') ;;
    --check) check_only=yes ;;
    *) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac

say() { echo "install: $*"; }
fail() { echo "install: $*" >&2; exit 1; }

# What of the system is missing, as Debian package names. Debian 12's `postgresql` is 15 and its `default-jdk-headless` 17;
# newer releases have newer ones, which do as well.
# PostgreSQL 14 is the oldest server the tests are meant for; its programs stay out of PATH on Debian.
have_postgres() {
    local initdb
    for initdb in /usr/lib/postgresql/*/bin/initdb "$(command -v initdb || true)"; do
        if [ -x "$initdb" ]; then
            [ "$("$initdb" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')" -ge 14 ] && return 0
        fi
    done
    return 1
}
# Kafka 4's broker needs Java 17.
have_java() {
    command -v java >/dev/null || return 1
    [ "$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')" -ge 17 ]
}

missing=()
have_postgres || missing+=(postgresql)
have_java || missing+=(default-jdk-headless)
command -v mvn >/dev/null || missing+=(maven)
command -v python3 >/dev/null || missing+=(python3)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
    [ "$check_only" = no ] || fail "missing: ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        fail "this system has no apt-get; install these yourself (Debian's names: PostgreSQL 14 or newer," \
             "Java 17 or newer, Maven 3.6.3 or newer, Python 3.9 or newer with venv), then run this again: ${missing[*]}"
    fi
    [ "$(id -u)" = 0 ] || fail "not root; run: sudo apt-get install ${missing[*]}"
    say "apt-get install ${missing[*]}"
    # Debian's package makes and starts a cluster on port 5432. The tests run a private one, so tell it not to.
    # Only where PostgreSQL is not there yet: a cluster that somebody uses is none of our business.
    if [[ " ${missing[*]} " == *" postgresql "* ]]; then
        mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/edgefeed-test-stack.conf
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# The rest. A stamp is the sum of what decides what is fetched; the library is built for one version of Python.
jars=$(cat "$here"/maven/*/pom.xml "$here/install.sh" | sha256sum | cut -d' ' -f1)
library=$( (cat "$here/clickhouse-requirements.txt"; python3 -c 'import sys; print(sys.version, sys.base_prefix)') |
    sha256sum | cut -d' ' -f1)
have_jars() { [ "$(cat "$home/stamp" 2>/dev/null || true)" = "$jars" ]; }
have_library() { [ "$(cat "$home/clickhouse/stamp" 2>/dev/null || true)" = "$library" ]; }
if have_jars && have_library; then
    say "all there ($home)"
    exit 0
fi
[ "$check_only" = no ] || fail "missing: the jars or ClickHouse in $home (run $0)"

mkdir -p "$home"
# Two test runs may start at once; the second waits and then finds the work done.
exec 9>"$home/lock"
flock 9

fetch() { # fetch POM-FOLDER TARGET
    say "Maven: $1"
    mvn -q -B -Dstyle.color=never -f "$here/maven/$1/pom.xml" "$dependency_plugin:copy-dependencies" \
        -DincludeScope=runtime -DoutputDirectory="$2" >"$home/maven.log" 2>&1 ||
        { tail -20 "$home/maven.log" >&2; fail "Maven could not fetch $1 (log: $home/maven.log)"; }
}

if ! have_jars; then
    new=$home/new
    rm -rf "$new" "$home/stamp"
    mkdir -p "$new/plugins"
    fetch kafka "$new/kafka"
    fetch debezium "$new/archives"
    tar -xzf "$new"/archives/debezium-connector-postgres-*-plugin.tar.gz -C "$new/plugins"
    rm -r "$new/archives"
    rm -rf "$home/kafka" "$home/plugins"
    mv "$new/kafka" "$new/plugins" "$home/"
    rmdir "$new"
    echo "$jars" >"$home/stamp"
    kafka=$(basename "$home"/kafka/kafka_2.13-*.jar .jar)
    debezium=$(basename "$home"/plugins/*/debezium-connector-postgres-*.jar .jar)
    say "done: $kafka and $debezium in $home"
fi

if ! have_library; then
    say "PyPI: $(grep -v '^#' "$here/clickhouse-requirements.txt" | tr '\n' ' ')"
    rm -rf "$home/clickhouse"
    python3 -m venv "$home/clickhouse"
    # What the library wants for data frames is left out; the server has no use for it.
    "$home/clickhouse/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        -r "$here/clickhouse-requirements.txt" || fail "pip could not fetch ClickHouse"
    "$home/clickhouse/bin/python" -c 'import chdb, lz4.frame, clickhouse_cityhash.cityhash' || fail "ClickHouse does not load"
    echo "$library" >"$home/clickhouse/stamp"
    say "done: ClickHouse in $home/clickhouse"
fi
