import type { Verb } from '../command.ts';
import { parseWord } from '../parse/words.ts';

/** Each asks `swarm __complete WORD...`: the last word is the one being typed. */
const SCRIPTS: { readonly [shell: string]: string } = {
  bash: `# swarm completion for bash: source <(swarm completion bash)
_swarm() {
  local line word="\${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=()
  while IFS=$'\\t' read -r line _; do
    [[ -n "$line" && "$line" == "$word"* ]] && COMPREPLY+=("$line")
  done < <("\${COMP_WORDS[0]}" __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [[ \${#COMPREPLY[@]} -eq 0 ]]; then
    compopt -o default 2>/dev/null
  elif [[ \${#COMPREPLY[@]} -eq 1 && "\${COMPREPLY[0]}" == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -F _swarm swarm
`,
  zsh: `#compdef swarm
# swarm completion for zsh: source <(swarm completion zsh)
_swarm() {
  local -a found
  local line
  while IFS= read -r line; do
    line="\${line%$'\\t'}"
    [[ -n "$line" ]] && found+=("\${\${line//:/\\\\:}/$'\\t'/:}")
  done < <("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then
    _describe swarm found
  else
    _files
  fi
}
compdef _swarm swarm
`,
  fish: `# swarm completion for fish: swarm completion fish | source
function __swarm_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c swarm -f -a '(__swarm_complete)'
`,
};

export const completion: Verb = {
  declare(command) {
    command.argument('<bash|zsh|fish>');
    command.addHelpText('after', '\nExample: source <(swarm completion bash)');
  },
  async run(context, words) {
    context.io.out(parseWord('completion', words[0]!, SCRIPTS));
  },
};
