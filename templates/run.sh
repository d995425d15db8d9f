# run.sh PHASE NUMBER COMMAND: runs one command of a phase with the secrets that are mounted, each in a variable of its name.
__packwright_authorities=/run/packwright/ca-certificates.crt
[ -e "$__packwright_authorities" ] || __packwright_authorities=/packwright/authorities.crt
if [ -s "$__packwright_authorities" ]; then
    for __packwright_name in {{ authorities | join(" ") }}; do
        [ -n "${!__packwright_name-}" ] || export "$__packwright_name=$__packwright_authorities"
    done
fi
for __packwright_file in /run/secrets/*; do
    [ -f "$__packwright_file" ] || continue
    IFS= read -r -d '' __packwright_value <"$__packwright_file" || true
    export "${__packwright_file##*/}=$__packwright_value"
done
unset __packwright_authorities __packwright_name __packwright_file __packwright_value
exec /bin/bash -c "$3"
