# In ~/.zshrc, after compinit: eval "$(pipeline completion zsh)"
_pipeline() {
  local -a answers
  answers=("${(@f)$("$words[1]" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  answers=(${answers:#})
  if (( ! $#answers )); then _files; return; fi
  compadd -S "" -- ${(M)answers:#*=}
  compadd -- ${answers:#*=}
}
compdef _pipeline pipeline
