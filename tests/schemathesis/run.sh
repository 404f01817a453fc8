#!/usr/bin/env bash
# run.sh URL TOKEN CASES [SEED]: asks a running node what its OpenAPI document allows and forbids, CASES times at the
# least. Fails at the first answer that is a 5xx or is not what the document says. Its last lines are how many requests
# reached each operation, and how many it were.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
url=$1 token=$2 cases=$3 seed=${4:-1}
program=$("$here/../venv.sh" schemathesis)/schemathesis
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export SCHEMATHESIS_HOOKS="$here/judged.py" REACHED="$work/reached" PYTHONDONTWRITEBYTECODE=1

# Of a document that was read from the node itself the tool would leave out the path it was read from.
python3 -c 'import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen(sys.argv[1]).read())' "$url/openapi.json" >openapi.json

# The document has so many different requests, so that a run may end before its limit: then another seed.
asked=0
while [ "$asked" -lt "$cases" ]; do
  more=$((cases - asked))
  "$program" --no-color --config-file "$here/schemathesis.toml" run openapi.json --url "$url" \
    --header "Authorization: Bearer $token" --seed "$seed" --max-examples $((more < 500 ? more : 500)) \
    --report json --report-json-path run.json
  asked=$((asked + $(python3 -c 'import json; print(json.load(open("run.json"))["test_cases"]["generated"])')))
  seed=$((seed + 1))
done
awk -F '\t' '{ sum[$2] += $1 } END { for (operation in sum) print "reached\t" operation "\t" sum[operation] }' "$REACHED" | sort
echo "$asked"
