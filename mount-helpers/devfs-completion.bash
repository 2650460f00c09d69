# Behind what `devfs --generate-completion-script bash` prints. bash takes what stands between the
# colons of `memory:lab` and `0000:00:09.0` for words (COMP_WORDBREAKS), and so would the script.
_devfs_joined() {
    local -a words=()
    local -i i number=0
    local current head=''
    for i in "${!COMP_WORDS[@]}"; do
        if ((i > 1)) && [[ ${COMP_WORDS[i]} == :* || ${COMP_WORDS[i - 1]} == *: ]]; then
            words[${#words[@]} - 1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}")
        fi
        if ((i == COMP_CWORD)); then number=$((${#words[@]} - 1)); fi
    done
    local -a COMP_WORDS=("${words[@]}")
    local -i COMP_CWORD=number
    current=${COMP_WORDS[number]}
    _devfs "$1" "$current" "${COMP_WORDS[number - 1]}"
    # What bash replaces is what stands behind the last colon.
    [[ $current != *:* ]] || head=${current%"${current##*:}"}
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
    # As names of files they would get a backslash before each colon.
    if [[ ${COMPREPLY[*]} == *:* ]]; then compopt +o filenames 2>/dev/null || true; fi
}
complete -o filenames -F _devfs_joined devfs
