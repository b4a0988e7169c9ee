# In ~/.bashrc: eval "$(pipeline completion bash)"
# bash splits words at "=" and replaces only what follows it, so the words are joined and the answers cut.
_pipeline() {
  local word current cut="" n=0 words=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if ((n > 0)) && [[ $word == = || ${words[n - 1]} == *= ]]; then
      words[n - 1]+=$word
    else
      words[n++]=$word
    fi
  done
  current=${words[n - 1]}
  if [[ $current == *=* && $COMP_WORDBREAKS == *=* ]]; then cut=${current%"${current##*=}"}; fi
  COMPREPLY=()
  while IFS= read -r word; do
    COMPREPLY+=("${word#"$cut"}")
    if [[ $word == *= ]]; then compopt -o nospace 2>/dev/null; fi
  done < <("${COMP_WORDS[0]}" complete -- "${words[@]}" 2>/dev/null)
}
complete -o default -F _pipeline pipeline
