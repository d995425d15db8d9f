#!/usr/bin/env bash
# Prints a small report and ends: not every image is a server.
set -euo pipefail

for name in $(cut -d: -f1 names.txt | sort); do
    printf '%-8s %s\n' "$name" "$(grep "^$name:" names.txt | cut -d: -f2)"
done
echo "greeting: ${GREETING:-none}"
