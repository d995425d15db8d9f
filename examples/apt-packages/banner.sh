#!/usr/bin/env bash
# Big letters by figlet, a number by jq.
set -euo pipefail

figlet -f banner "$(jq -r .word data.json)"
jq '.numbers | add | "sum: \(.)"' data.json -r
