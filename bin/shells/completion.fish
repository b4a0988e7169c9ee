# In ~/.config/fish/config.fish: pipeline completion fish | source
function __pipeline_candidates
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answers ($words[1] complete -- $words[2..-1] "$current" 2>/dev/null)
    if set -q answers[1]
        printf '%s\n' $answers
    else
        __fish_complete_path "$current"
    end
end
complete -c pipeline -f -a '(__pipeline_candidates)'
