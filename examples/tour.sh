#!/usr/bin/env bash
# Runs every command of fastmlp and shows it with its output: bash examples/tour.sh [FOLDER]
# Needs fastmlp[all] on the PATH. Files are written to FOLDER, by default a temporary one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$(mktemp -d)}"

show() {
  printf '\n$ %s\n' "$*"
  bash -o pipefail -c "$*" 2>&1
}

show fastmlp info
show fastmlp data list
python "$here/homes.py" .

show fastmlp train mnist --epochs 3
show fastmlp train fashion-mnist --epochs 3
show fastmlp train digits --architecture mlp
show fastmlp look homes.csv --target kind
show 'fastmlp train homes.csv --target kind --features area,rooms,city,garden | tail -12'
show 'fastmlp train berlin.parquet --target price | tail -12'

show fastmlp evaluate runs/003-digits
show 'head -4 homes.csv | fastmlp predict runs/004-homes --probabilities --keep price > answers.csv'
show cat answers.csv
show fastmlp export runs/001-mnist -o mnist.onnx
show fastmlp export runs/004-homes -o homes.h
show fastmlp inspect runs/004-homes
show fastmlp report runs/001-mnist
show fastmlp plot runs/005-berlin
show 'fastmlp plot runs/005-berlin --terminal'

show 'fastmlp cv homes.csv --target kind --features area,rooms,city,garden --quiet'
show 'head -4 homes.csv | fastmlp predict cv/001-homes --probabilities'
show fastmlp lr-find mnist
show 'fastmlp sweep digits --architecture mlp --epochs 20 --trials 6 --jobs 2 --search optimizer.learning_rate=1e-4..0.1:log'
show fastmlp train --config sweeps/001-digits/best.toml --quiet
show fastmlp compare runs/003-digits runs/006-digits --with sklearn

show 'fastmlp config init digits -o fastmlp.toml && head -20 fastmlp.toml'
show fastmlp config validate fastmlp.toml
show fastmlp runs list
show fastmlp runs rm 2 --yes
