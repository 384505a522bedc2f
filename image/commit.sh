# What the images tell of their origin. To be sourced in the project's folder: sets VERSION, REVISION and CREATED_S.
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
CREATED_S=$(git log -1 --format=%ct)
REVISION=$(git rev-parse HEAD)
[ -z "$(git status --porcelain)" ] || REVISION=$REVISION-changed
