# Shows how far a long command is: on a terminal in one line that changes, elsewhere in a line a minute. To be
# sourced.
#
#   with_progress TITLE LOG COMMAND...    runs COMMAND with its words in LOG; the exit code is its own
#
# Steps are counted as ninja and ctest print them, "[12/345]"; of other commands only the time is shown.

progress_interval=${CONVSMITH_PROGRESS_SECONDS:-60}  # between lines

# "12/345", or nothing
progress_steps() {
  tail -c 65536 "$1" | tr '\r' '\n' | sed -nE 's/^\[ *([0-9]+\/[0-9]+)\].*/\1/p' | tail -1
}

# progress_text STEPS SECONDS WIDTH
progress_text() {
  local time done all filled
  time=$(printf '%d:%02d min' $(($2 / 60)) $(($2 % 60)))
  [[ $1 == */* ]] || { echo "$time"; return; }
  done=${1%/*} all=${1#*/}
  filled=$((done * $3 / (all > 0 ? all : 1)))
  ((filled == 0)) || printf '[%s%s] ' "$(printf '%*s' "$filled" '' | tr ' ' '#')" "$(printf '%*s' $(($3 - filled)) '')"
  echo "$done of $all, $time"
}

# Ends when the shell that sourced this file does.
watch_progress() {
  local title=$1 log=$2 started=$SECONDS said=$SECONDS
  while sleep 1 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    if [[ -t 1 ]]; then
      printf '\r\033[K%s %s' "$title" "$(progress_text "$(progress_steps "$log")" $((SECONDS - started)) 30)"
    elif ((SECONDS - said >= progress_interval)); then
      said=$SECONDS
      echo "$title: $(progress_text "$(progress_steps "$log")" $((SECONDS - started)) 0)"
    fi
  done
}

with_progress() {
  local title=$1 log=$2 watcher status=0
  shift 2
  : >"$log"
  watch_progress "$title" "$log" &
  watcher=$!
  "$@" >"$log" 2>&1 || status=$?
  kill "$watcher" 2>/dev/null || true
  wait "$watcher" 2>/dev/null || true
  [[ ! -t 1 ]] || printf '\r\033[K'
  return "$status"
}
